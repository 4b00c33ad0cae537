"""The metrics of the namespace SYS.MaaS: their units, and their values per minute or longer period."""

from __future__ import annotations

import statistics
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from .arrivals import Ms
from .simulated_models import SimulatedModels
from .usage_by_minute import MINUTE, Counts, Minute

NAMESPACE = "SYS.MaaS"
COUNTS: Dict[str, Callable[[Counts], float]] = {
    "rpm": lambda counts: counts.requests,
    "tpm": lambda counts: counts.total_tokens / 1000,
    "prompt_tokens": lambda counts: counts.prompt_tokens,
    "completion_tokens": lambda counts: counts.completion_tokens,
    "total_tokens": lambda counts: counts.total_tokens,
    "req_count_4xx": lambda counts: counts.errors_4xx,
    "req_count_5xx": lambda counts: counts.errors_5xx,
    "req_count": lambda counts: counts.requests,
}
"""Metrics that add up. The real cloud lists `req_count`, but no page documents it: a client ignores it."""
MEASUREMENTS: Dict[str, Callable[[Minute], Optional[float]]] = {
    "ttft": lambda minute: minute.ttft_ms,
    "tpot": lambda minute: minute.tpot_ms,
    "latency_avg": lambda minute: minute.latency_ms,
    "req_error_rate": lambda minute: 100 * (minute.errors_4xx + minute.errors_5xx) / minute.requests,
    "ttft_p99": lambda minute: minute.ttft_ms and 3 * minute.ttft_ms,
}
"""Metrics that do not add up. `ttft_p99` is undocumented, like `req_count`."""
UNITS = {
    **dict.fromkeys(COUNTS, "Count"),
    **{name: "%" if name == "req_error_rate" else "ms" for name in MEASUREMENTS},
}
AGGREGATES: Dict[str, Callable[[List[float]], float]] = {
    "average": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "sum": sum,
    "variance": statistics.pvariance,
}
"""How each filter aggregates the minutes of a period."""


def metric_values(
    models: SimulatedModels, series: Tuple[str, Optional[str]], name: str, aggregate: str, starts: range, now: Ms
) -> Iterator[Tuple[Ms, float]]:
    """Iterate over the values of a metric that are available at `now`, each with the start of its period.

    Args:
        models: their usage.
        series: a model, and a key id or None.
        name: one of UNITS.
        aggregate: one of AGGREGATES.
        starts: when the periods begin; its step is their length.
        now: the current time.
    """
    for at in starts:
        if aggregate == "sum" and name in COUNTS and starts.step > MINUTE:
            counts = models.counts(*series, at, at + starts.step, now)
            if counts.requests:
                yield at, float(COUNTS[name](counts))
            continue
        value_of: Callable[[Minute], Optional[float]] = COUNTS.get(name) or MEASUREMENTS[name]
        raw = [value_of(minute) for _, minute in models.available_minutes(*series, at, at + starts.step, now)]
        values = [float(value) for value in raw if value is not None]
        if values:
            yield at, float(AGGREGATES[aggregate](values))
