"""ShowStatistics' view of the simulated account: how much of each hour's usage it reports at a given time."""

from __future__ import annotations

import functools
from collections import defaultdict
from decimal import Decimal
from typing import Any, Callable, DefaultDict, Dict, Iterator, List, Sequence, Tuple

from .traffic import (
    API_KEYS,
    DAY,
    HOUR,
    NO_USAGE,
    STEADY,
    Ms,
    Restatement,
    Traffic,
    Usage,
    actual_hour,
    factor_at,
    noise,
    sum_usage,
)

RETENTION = 30 * DAY
LAG = 2 * HOUR
SIXTHS = 6
ADDRESSES = {"team-search": "10.0.0.1", "team-support": "10.0.0.2", "batch-jobs": "10.0.0.1", "": "192.0.2.7"}
"""Source address of the calls by API key label."""


class SimulatedUsage:
    """Compute the usage of any hour, and how much of it the cloud reports at a given time.

    Args:
        traffic: the actual usage.
        late: an hour arrives in sixths, each one to two hours after its use. Otherwise it arrives as a whole, two
            hours after it began.
        busy: whether there was usage in the hour that begins at a time.
        inclusive_end: usage at exactly `end_time` counts.
    """

    def __init__(
        self,
        traffic: Traffic = STEADY,
        *,
        late: bool = False,
        busy: Callable[[Ms], bool] = lambda start: True,
        inclusive_end: bool = False,
    ) -> None:
        self._traffic = traffic
        self._late = late
        self._busy = busy
        self._inclusive_end = inclusive_end
        self._restatements: DefaultDict[Tuple[int, str, str, Ms], List[Restatement]] = defaultdict(list)

    def restate(
        self,
        start: Ms,
        factor: float,
        at: Ms,
        service_type: int = 2,
        infer_type: str = "real_time",
        label: str = "team-search",
    ) -> None:
        """Report the hour that begins at `start` as `factor` times its usage, from the time `at` on.

        A factor of 0 takes the hour back. The newest of several restatements applies.
        """
        self._restatements[service_type, infer_type, label, start].append((at, factor))

    def hours(self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, end: Ms) -> Iterator[Usage]:
        """Iterate over the actual usage of the hours that begin in `[start, end)`, one for each label."""
        for at in _full_hours(start, end):
            for label in labels:
                yield actual_hour(self._traffic, service_type, infer_type, label, at) if self._busy(at) else NO_USAGE

    def hour(self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, now: Ms) -> Usage:
        """Return what the cloud reports at `now` for the hour that begins at `start`, the sum over labels."""
        return sum_usage(self._reported_hours(service_type, infer_type, labels, start, start + HOUR, now))

    def totals(self, query: Dict[str, Any], now: Ms) -> Dict[str, Any]:
        """Answer like ShowStatistics, from the hours that are retained and have arrived."""
        ips = query.get("ips", list(ADDRESSES.values()))
        labels = [label for label in query.get("api_keys", API_KEYS) if ADDRESSES.get(label) in ips]
        infer_type = query.get("infer_type", "real_time")
        start, end = query["start_time"], query["end_time"] + self._inclusive_end
        hours = list(self._reported_hours(query["service_type"], infer_type, labels, start, end, now))
        total = sum_usage(hours)
        return {
            "total_request_count": total.requests,
            "total_error_count": total.errors,
            "total_token": _to_thousands(total.total_tokens),
            "total_prompt_token": _to_thousands(total.prompt_tokens),
            "total_completion_token": _to_thousands(total.completion_tokens),
            "total_completion_tasks": len(hours) if infer_type == "batch" else 0,
            "total_infer_count": total.requests if infer_type == "batch" else 0,
        }

    def _reported_hours(
        self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, end: Ms, now: Ms
    ) -> Iterator[Usage]:
        """Iterate over the hours that begin in `[start, end)`, as far as they are retained and have arrived."""
        for at in _full_hours(max(start, now - RETENTION), end):
            sixths = self._count_arrived_sixths(at, now)
            if not sixths or not self._busy(at):
                continue
            for label in labels:
                known = self._restatements.get((service_type, infer_type, label, at))
                factor = factor_at(known, now) if known else 1.0
                if factor:
                    hour = actual_hour(self._traffic, service_type, infer_type, label, at)
                    yield hour if sixths == SIXTHS and factor == 1 else hour.scale(sixths * factor, SIXTHS)

    def _count_arrived_sixths(self, start: Ms, now: Ms) -> int:
        if not self._late:
            return SIXTHS if start < now - LAG else 0
        return SIXTHS if now >= start + 3 * HOUR else sum(at <= now for at in _arrival_times(start))


@functools.lru_cache(maxsize=10_000)
def _arrival_times(start: Ms) -> Tuple[Ms, ...]:
    """Return when each sixth of an hour arrives: one to two hours after its ten minutes end."""
    delays = noise("arrivals", start)
    return tuple(start + (i + 1) * HOUR // SIXTHS + HOUR + delays[i] * HOUR // 256 for i in range(SIXTHS))


def _full_hours(start: Ms, end: Ms) -> range:
    return range(-(-start // HOUR) * HOUR, end, HOUR)


def _to_thousands(tokens: int) -> float:
    return float(Decimal(tokens) / 1000)
