"""The metrics of the namespace that the catalogue has, their conversion to its units, and the limits of an answer.

An answer with more than was queried is rejected before its metrics are decoded.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, NamedTuple, Sequence

from ..json_body import bad_answer

NAMESPACE = "SYS.MaaS"
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class Dimensions(NamedTuple):
    """Identify a model service, or with `key_id` the share of it that this API key used."""

    api_id: str
    key_id: str = ""


class Metric(NamedTuple):
    """Map a metric to its field: `unit` is the cloud's unit, `factor` converts a value to the field's unit."""

    field: str
    unit: str
    factor: Decimal = Decimal(1)

    def convert(self, value: float) -> float:
        """Convert a value to the field's unit, in decimal arithmetic."""
        return value if self.factor == 1 else float(Decimal(repr(value)) * self.factor)


_MILLI, _PERCENT = Decimal("0.001"), Decimal("0.01")
METRICS: Dict[str, Metric] = {
    "rpm": Metric("requests_per_minute", "Count"),
    "total_tokens": Metric("tokens_per_minute", "Count"),
    "prompt_tokens": Metric("prompt_tokens_per_minute", "Count"),
    "completion_tokens": Metric("completion_tokens_per_minute", "Count"),
    "ttft": Metric("time_to_first_token_seconds", "ms", _MILLI),
    "tpot": Metric("time_per_output_token_seconds", "ms", _MILLI),
    "latency_avg": Metric("latency_seconds", "ms", _MILLI),
    "req_count_4xx": Metric("errors_4xx", "Count"),
    "req_count_5xx": Metric("errors_5xx", "Count"),
    "req_error_rate": Metric("error_ratio", "%", _PERCENT),
}
"""By the cloud's metric name; source of the meanings: the exporter's list of metrics."""
NOT_QUERIED = frozenset({"tpm"})
"""Known, but redundant: `tpm` is `total_tokens` in thousands."""
HOURLY_METRICS = ("total_tokens", "prompt_tokens", "completion_tokens", "rpm", "req_count_4xx", "req_count_5xx")
"""The metrics of an hour: requests are the sum of `rpm`, errors the sum of both classes."""
VALUES_PER_METRIC, VALUES_PER_POINT = 64, 16
"""Values per metric and per data point at most; as documented there are fewer than ten and three."""
MAX_NAME_LENGTH = 128
"""Characters of a metric's name, and of a dimension's name or value."""


def check_value_count(body: bytes, metrics: int, points: int = 0) -> None:
    """Raise QueryError if a body has far more values than this many metrics and data points; it counts the commas."""
    if body.count(b",") > metrics * VALUES_PER_METRIC + points * VALUES_PER_POINT:
        raise bad_answer(f"it has far more values than {metrics:,} metrics have")


def check_metric_count(received: int, queried: int) -> None:
    """Raise QueryError if an answer has more metrics than were queried."""
    if received > queried:
        raise bad_answer(f"it has {received:,} metrics, but {queried:,} were queried")


def check_name_lengths(names: Sequence[str]) -> None:
    """Raise QueryError if a name is too long."""
    longest = max(map(len, names), default=0)
    if longest > MAX_NAME_LENGTH:
        raise bad_answer(f"a name in it has {longest:,} characters, but at most {MAX_NAME_LENGTH} are accepted")
