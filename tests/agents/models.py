"""What minutes, hours, counts and costs of models must say, worked out from the emulator's ledger alone."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from typing import Any, Dict, List, Optional, Tuple

import yaml

from maas_usage_check.emulator.simulated_models import SimulatedModels

from .hours import HOUR, Counts, Use

MINUTE = 60_000
"""Milliseconds."""
COMPLETE, SHOWN, REACH = 5 * MINUTE, 15 * MINUTE, 4 * HOUR
"""After its end a minute is complete, and no longer shown as now; and how far back Cloud Eye tells minutes."""
MINUTE_FIELDS = (
    "requests_per_minute", "tokens_per_minute", "prompt_tokens", "completion_tokens", "total_tokens",
    "time_to_first_token_seconds", "time_per_output_token_seconds", "latency_seconds",
    "errors_4xx", "errors_5xx", "error_ratio",
)  # fmt: skip
PRICES = {"large": ("2.0", "8.0"), "small": ("0.15", "0.6")}
"""Of a million tokens, prompt and completion, by the model's name."""
CURRENCY = "CNY"
Series = Tuple[str, str]
"""A model and a key; the key of the whole is empty."""


def named(models: SimulatedModels) -> Dict[str, str]:
    """Give the models names; from the third on they have none, and so no price."""
    return dict(zip(models.ids(), PRICES))


def entry_of(models: SimulatedModels) -> Dict[str, Any]:
    """Make the keys of an instance that name the models and their prices."""
    prices = {name: {"prompt": float(one), "completion": float(two)} for name, (one, two) in PRICES.items()}
    return {"models": True, "model_names": named(models), "prices": {"currency": CURRENCY, "models": prices}}


def config_of(models: SimulatedModels) -> str:
    """Write those keys as they stand in a configuration."""
    return textwrap.indent(yaml.safe_dump(entry_of(models), sort_keys=False), "    ")


def series_of(models: SimulatedModels) -> List[Series]:
    return [(model, key) for model in models.ids() for key in ("", *models.key_ids(model))]


def priced(models: SimulatedModels) -> List[Series]:
    return [each for each in series_of(models) if each[0] in named(models)]


def series_in(tags: Dict[str, str]) -> Series:
    return tags["maas_api_id"], tags.get("maas_key_id", "")


def minute(models: SimulatedModels, series: Series, at: int, now: Optional[int] = None) -> Dict[str, float]:
    """Say what the minute that begins at `at` was, all of it or as it is known at a moment; nothing of a silent one."""
    model, key = series
    found = models.minute(model, key or None, at)
    if found is None or (now is not None and not models.is_available(model, at, now)):
        return {}
    failed = found.errors_4xx + found.errors_5xx
    fields = (
        found.requests, found.total_tokens, found.prompt_tokens, found.completion_tokens, found.total_tokens,
        divided(found.ttft_ms, 1000), divided(found.tpot_ms, 1000), divided(found.latency_ms, 1000),
        found.errors_4xx, found.errors_5xx, divided(100 * failed / found.requests, 100),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(MINUTE_FIELDS, fields) if value is not None}


def divided(value: Optional[float], parts: int) -> Optional[float]:
    """Divide what the cloud says, to the last digit that it says."""
    return None if value is None else float(Decimal(repr(value)) / parts)


def use(models: SimulatedModels, series: Series, at: int, now: int) -> Use:
    """Say what the cloud says at a moment of the hour that begins at `at`."""
    model, key = series
    return tuple(models.hour(model, key or None, at, now))


def cost(models: SimulatedModels, model: str, of: Use) -> Decimal:
    """Work out what tokens cost."""
    prompt, completion = (Decimal(price) for price in PRICES[named(models)[model]])
    return (prompt * of[1] + completion * of[2]) / 1_000_000


def newest(models: SimulatedModels, series: Series, now: int) -> Dict[str, float]:
    """Say what may be shown as now: the newest complete minute that is known, if it ended within 15 minutes."""
    last = (now - COMPLETE) // MINUTE * MINUTE - MINUTE
    known = (minute(models, series, at, now) for at in range(last, now - SHOWN - MINUTE - 1, -MINUTE))
    return next(filter(None, known), {})


class Counted(Counts):
    """Count the calls of a model or a key."""

    def __init__(self, models: SimulatedModels, series: Series, began: int) -> None:
        super().__init__(lambda at, now: use(models, series, at, now), began)
