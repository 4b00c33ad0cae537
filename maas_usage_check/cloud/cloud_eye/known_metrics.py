"""The metrics of the namespace that have a place in the catalogue, and how each comes to its unit there."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, NamedTuple

NAMESPACE = "SYS.MaaS"
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class Dimensions(NamedTuple):
    """Name one model service, and with a key the part of it that this API key used; without, all of it."""

    api_id: str
    key_id: str = ""


class Metric(NamedTuple):
    """Say which field a metric is, the unit that it comes in, and how many of the field's unit one of it is."""

    field: str
    unit: str
    factor: Decimal = Decimal(1)

    def convert(self, value: float) -> float:
        """Turn a value into the field's unit, in decimal arithmetic."""
        return value if self.factor == 1 else float(Decimal(repr(value)) * self.factor)


_MILLI, _PERCENT = Decimal("0.001"), Decimal("0.01")
METRICS: Dict[str, Metric] = {
    "rpm": Metric("requests_per_minute", "Count"),
    "tpm": Metric("tokens_per_minute", "Count", Decimal(1000)),
    "prompt_tokens": Metric("prompt_tokens", "Count"),
    "completion_tokens": Metric("completion_tokens", "Count"),
    "total_tokens": Metric("total_tokens", "Count"),
    "ttft": Metric("time_to_first_token_seconds", "ms", _MILLI),
    "tpot": Metric("time_per_output_token_seconds", "ms", _MILLI),
    "latency_avg": Metric("latency_seconds", "ms", _MILLI),
    "req_count_4xx": Metric("errors_4xx", "Count"),
    "req_count_5xx": Metric("errors_5xx", "Count"),
    "req_error_rate": Metric("error_ratio", "%", _PERCENT),
}
"""By the id that the cloud knows; the exporter's list of metrics says what each means."""
HOURLY_METRICS = ("total_tokens", "prompt_tokens", "completion_tokens", "rpm", "req_count_4xx", "req_count_5xx")
"""What an hour is added up from: calls are the sum of `rpm`, errors that of both classes."""
