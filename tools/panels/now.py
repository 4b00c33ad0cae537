"""Now: the newest minutes of the models."""

from __future__ import annotations

from typing import Tuple

from ..panel_queries import Minute, PanelQuery
from .panel import CLOUD_EYE, NO_LIMITS, NO_MODELS, Panel, Row

BY_MODEL = "{model} {region}"
MINUTES = f"The highest minute{{seen}} in each step. {CLOUD_EYE}"


def _limit(title: str, field: str, what: str) -> Panel:
    description = f"{what} by model, as a share of the model's `limits` in the configuration. {MINUTES}"
    return Panel(title, description, "percentunit", "timeseries", 12, ((BY_MODEL, Minute(field)),), NO_LIMITS)


def _minutes(title: str, unit: str, description: str, *queries: Tuple[str, PanelQuery]) -> Panel:
    return Panel(title, description, unit, "timeseries", 8, queries, NO_MODELS)


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
            f"Failed calls by model: 4xx are callers' mistakes and exceeded limits, 5xx faults of the cloud. {MINUTES}",
            (f"{BY_MODEL} 4xx", Minute("errors_4xx")),
            (f"{BY_MODEL} 5xx", Minute("errors_5xx")),
        ),
        Panel(
            "Failing now",
            "Share of failed calls in the newest complete minute, by model. Models without a call in the last 15 "
            f"minutes are not shown. {CLOUD_EYE}",
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
        _limit("Requests against the limit", "requests_limit_ratio", "Calls"),
        _limit("Tokens against the limit", "tokens_limit_ratio", "Tokens"),
    ),
)
