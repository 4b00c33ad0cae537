"""Now: the newest minutes of the models."""

from __future__ import annotations

from typing import Tuple

from ..asks import Ask, Minute
from .panel import CLOUD_EYE, NO_MODELS, Panel, Row

BY_MODEL = "{model} {region}"
MINUTES = f"In each step the largest minute{{seen}}. {CLOUD_EYE}"


def _minutes(title: str, unit: str, description: str, *asks: Tuple[str, Ask]) -> Panel:
    return Panel(title, description, unit, "timeseries", 8, asks, NO_MODELS)


NOW = Row(
    "Now: is it used, is it slow, what is failing?",
    (
        _minutes(
            "Requests per minute", "reqpm", f"Calls by model. {MINUTES}", (BY_MODEL, Minute("requests_per_minute"))
        ),
        _minutes("Tokens per minute", "short", f"Tokens by model. {MINUTES}", (BY_MODEL, Minute("tokens_per_minute"))),
        _minutes(
            "Errors per minute",
            "short",
            f"Failed calls by model: 4xx are the caller's mistakes and limits, 5xx the cloud's faults. {MINUTES}",
            (f"{BY_MODEL} 4xx", Minute("errors_4xx")),
            (f"{BY_MODEL} 5xx", Minute("errors_5xx")),
        ),
        Panel(
            "Failing now",
            "Share of the calls of the newest complete minute that failed, by model. A model that had no call for "
            f"a quarter of an hour is not there. {CLOUD_EYE}",
            "percentunit",
            "bargauge",
            8,
            ((BY_MODEL, Minute("error_ratio")),),
            NO_MODELS,
        ),
        _minutes(
            "Latency",
            "s",
            f"Mean time of a call from end to end, by model. {MINUTES}",
            (BY_MODEL, Minute("latency_seconds")),
        ),
        _minutes(
            "Time to first token",
            "s",
            f"Mean time until a streaming answer begins, by model. {MINUTES}",
            (BY_MODEL, Minute("time_to_first_token_seconds")),
        ),
    ),
)
