"""The metrics of the namespace SYS.MaaS: their units, and their values for a minute or a longer period."""

from __future__ import annotations

import statistics
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from .simulated_models import SimulatedModels
from .usage_by_minute import MINUTE, Counts, Minute

NAMESPACE = "SYS.MaaS"
COUNTED: Dict[str, Callable[[Counts], float]] = {
    "rpm": lambda use: use.requests,
    "tpm": lambda use: use.total_tokens / 1000,
    "prompt_tokens": lambda use: use.prompt_tokens,
    "completion_tokens": lambda use: use.completion_tokens,
    "total_tokens": lambda use: use.total_tokens,
    "req_count_4xx": lambda use: use.errors_4xx,
    "req_count_5xx": lambda use: use.errors_5xx,
    "req_count": lambda use: use.requests,
}
"""What adds up. `req_count` is seen in the real cloud too, and said by no page: a client leaves it out."""
MEASURED: Dict[str, Callable[[Minute], Optional[float]]] = {
    "ttft": lambda minute: minute.ttft_ms,
    "tpot": lambda minute: minute.tpot_ms,
    "latency_avg": lambda minute: minute.latency_ms,
    "req_error_rate": lambda minute: 100 * (minute.errors_4xx + minute.errors_5xx) / minute.requests,
    "ttft_p99": lambda minute: minute.ttft_ms and 3 * minute.ttft_ms,
}
"""What does not. `ttft_p99` is as `req_count`."""
UNITS = {
    **dict.fromkeys(COUNTED, "Count"),
    **{name: "%" if name == "req_error_rate" else "ms" for name in MEASURED},
}
OVER: Dict[str, Callable[[List[float]], float]] = {
    "average": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "sum": sum,
    "variance": statistics.pvariance,
}
"""What each filter makes of the minutes of a period."""


def values(
    models: SimulatedModels, series: Tuple[str, Optional[str]], name: str, statistic: str, starts: range, now: int
) -> Iterator[Tuple[int, float]]:
    """Go through what is known of a metric at a moment, by period: when each begins, and its value.

    Args:
        models: what was done.
        series: a model, and a key or None.
        name: one of UNITS.
        statistic: one of OVER.
        starts: when the periods begin, milliseconds; its step is their length.
        now: milliseconds.
    """
    for at in starts:
        if statistic == "sum" and name in COUNTED and starts.step > MINUTE:
            counts = models.counts(*series, at, at + starts.step, now)
            if counts.requests:
                yield at, float(COUNTED[name](counts))
            continue
        worth: Callable[[Minute], Optional[float]] = COUNTED.get(name) or MEASURED[name]
        raw = [worth(minute) for _, minute in models.available_minutes(*series, at, at + starts.step, now)]
        found = [float(value) for value in raw if value is not None]
        if found:
            yield at, float(OVER[statistic](found))
