"""The metrics of the namespace SYS.MaaS: their units, and their values per minute or longer period."""

from __future__ import annotations

import statistics
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from .callers import MINUTE, Minute
from .simulated_models import Series, SimulatedModels
from .traffic import Ms, Usage

NAMESPACE = "SYS.MaaS"
COUNTS: Dict[str, Callable[[Usage], float]] = {
    "rpm": lambda usage: usage.requests,
    "tpm": lambda usage: usage.total_tokens / 1000,
    "prompt_tokens": lambda usage: usage.prompt_tokens,
    "completion_tokens": lambda usage: usage.completion_tokens,
    "total_tokens": lambda usage: usage.total_tokens,
    "req_count_4xx": lambda usage: usage.errors - usage.errors_5xx,
    "req_count_5xx": lambda usage: usage.errors_5xx,
    "req_count": lambda usage: usage.requests,
}
"""Metrics that add up. The real cloud lists `req_count`, but no page documents it: a client ignores it."""
MEASUREMENTS: Dict[str, Callable[[Minute], Optional[float]]] = {
    "ttft": lambda minute: minute.ttft_ms,
    "tpot": lambda minute: minute.tpot_ms,
    "latency_avg": lambda minute: minute.latency_ms,
    "req_error_rate": lambda minute: 100 * minute.usage.errors / minute.usage.requests,
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
    models: SimulatedModels, series: Series, name: str, aggregate: str, starts: range, now: Ms
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
            usage = models.usage(*series, at, at + starts.step, now)
            if usage.requests:
                yield at, float(COUNTS[name](usage))
            continue
        minutes = [minute for _, minute in models.available_minutes(*series, at, at + starts.step, now)]
        raw = [COUNTS[name](minute.usage) if name in COUNTS else MEASUREMENTS[name](minute) for minute in minutes]
        values = [float(value) for value in raw if value is not None]
        if values:
            yield at, float(AGGREGATES[aggregate](values))
