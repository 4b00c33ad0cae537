"""Expected minutes, hours, counts and costs of models, computed from the emulator's usage alone."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from typing import Any, Dict, List, Optional, Sequence, Tuple

import yaml

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import Traffic

from .expected_hours import FIELDS, HOUR, ExpectedCounts, Usage

MINUTE = 60_000
"""Milliseconds."""
COMPLETE_AFTER, SHOWN_FOR, MINUTES_KEPT = 5 * MINUTE, 15 * MINUTE, 4 * HOUR
"""A minute is complete this long after its end, and shown this long; and how far back the plugin reads minutes."""
MINUTE_FIELDS = (
    "requests_per_minute", "tokens_per_minute", "prompt_tokens_per_minute", "completion_tokens_per_minute",
    "time_to_first_token_seconds", "time_per_output_token_seconds", "latency_seconds",
    "errors_4xx", "errors_5xx", "error_ratio",
)  # fmt: skip
PRICES = {"large": ("2.0", "8.0"), "small": ("0.15", "0.6")}
"""Prices of a million prompt and completion tokens, by the model's name."""
CURRENCY = "CNY"
TRAFFIC = Traffic(load=6)
"""Enough calls that each model has some in every quarter of an hour."""
Series = Tuple[str, str]
"""A model and a key id; the key id is empty for all keys together."""


def model_names(models: SimulatedModels) -> Dict[str, str]:
    """Return the configured names by id; from the third on models have no name, and so no price."""
    return dict(zip(models.ids(), PRICES))


def model_entry(models: SimulatedModels) -> Dict[str, Any]:
    """Return the part of an instance's configuration with the models' names and prices."""
    prices = {name: {"prompt": float(one), "completion": float(two)} for name, (one, two) in PRICES.items()}
    return {"models": True, "model_names": model_names(models), "prices": {"currency": CURRENCY, "models": prices}}


def model_config(models: SimulatedModels) -> str:
    """Write that part as indented YAML."""
    return textwrap.indent(yaml.safe_dump(model_entry(models), sort_keys=False), "    ")


def all_series(models: SimulatedModels) -> List[Series]:
    return [(model, key) for model in models.ids() for key in ("", *models.key_ids(model))]


def priced_series(models: SimulatedModels) -> List[Series]:
    return [each for each in all_series(models) if each[0] in model_names(models)]


def series_from_tags(tags: Dict[str, str]) -> Series:
    return tags["maas_api_id"], tags.get("maas_key_id", "")


def expected_minute(models: SimulatedModels, series: Series, at: int, now: Optional[int] = None) -> Dict[str, float]:
    """Return the fields of the minute that begins at `at`, as known at `now` or in the end; none without calls."""
    model, key = series
    found = models.minute(model, key or None, at)
    if found is None or (now is not None and not models.is_available(model, at, now)):
        return {}
    used = found.usage
    fields = (
        used.requests, used.total_tokens, used.prompt_tokens, used.completion_tokens,
        divide(found.ttft_ms, 1000), divide(found.tpot_ms, 1000), divide(found.latency_ms, 1000),
        used.errors - used.errors_5xx, used.errors_5xx, divide(100 * used.errors / used.requests, 100),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(MINUTE_FIELDS, fields) if value is not None}


def divide(value: Optional[float], parts: int) -> Optional[float]:
    """Divide a value of the cloud in decimal arithmetic."""
    return None if value is None else float(Decimal(repr(value)) / parts)


def expected_model_hour(models: SimulatedModels, series: Series, at: int, now: int) -> Usage:
    """Return what the cloud reports at `now` for the hour that begins at `at`."""
    model, key = series
    return models.hour(model, key or None, at, now)[: len(FIELDS)]


def expected_cost(
    models: SimulatedModels, model: str, usage: Usage, kinds: Sequence[str] = ("prompt", "completion")
) -> Decimal:
    """Return the cost of prompt and completion tokens, or of one of the two."""
    prices = dict(zip(("prompt", "completion"), PRICES[model_names(models)[model]]))
    tokens = dict(zip(FIELDS, usage))
    return sum((Decimal(prices[kind]) * tokens[f"{kind}_tokens"] for kind in kinds), Decimal(0)) / 1_000_000


def newest_minute(models: SimulatedModels, series: Series, now: int) -> Dict[str, float]:
    """Return the fields of the newest complete known minute, if it ended within 15 minutes."""
    last = (now - COMPLETE_AFTER) // MINUTE * MINUTE - MINUTE
    known = (expected_minute(models, series, at, now) for at in range(last, now - SHOWN_FOR - MINUTE - 1, -MINUTE))
    return next(filter(None, known), {})


class ModelCounts(ExpectedCounts):
    """Expected counts of a model or of a key."""

    def __init__(self, models: SimulatedModels, series: Series, began: int) -> None:
        super().__init__(lambda at, now: expected_model_hour(models, series, at, now), began)
