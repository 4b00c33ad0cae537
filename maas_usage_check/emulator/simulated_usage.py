"""Simulated usage of the emulator's account: a plausible pattern for every hour, computed from the hour alone."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any, Callable, Dict, Iterable, Iterator, Sequence, Tuple

from msgspec import Struct

from .arrivals import DAY, HOUR, SIXTHS, Ms, Restatement, count_arrived_sixths, noise, restatements

RETENTION = 30 * DAY
LAG = 2 * HOUR
SERVICE_TYPES = {1: 0.2, 2: 1.0, 4: 0.05}
"""The API's service types, with their load relative to the preset service."""
INFER_TYPES = {"real_time": 1.0, "batch": 0.3}
API_KEYS = {"team-search": 0.5, "team-support": 0.3, "batch-jobs": 0.15, "": 0.05}
"""Labels of the account's API keys, with their share of the calls; "" is the online experience."""
ADDRESSES = {"team-search": "10.0.0.1", "team-support": "10.0.0.2", "batch-jobs": "10.0.0.1", "": "192.0.2.7"}
"""Source address of the calls by API key label."""
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 13, 15, 15, 14, 12, 9, 7, 5, 4, 3, 2)


class UsageHour(Struct, frozen=True):
    """One hour of one API key, or of several. In whole tokens; the API reports thousands."""

    start: Ms
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    other_tokens: int


class SimulatedUsage:
    """Compute the usage of any hour, and how much of it the cloud reports at a given time.

    Args:
        late: an hour arrives in sixths, each one to two hours after its use. Otherwise it arrives as a whole, two
            hours after it began.
        restating: one hour in 40 is restated once, 4 hours to 6 days after its end; half of these upwards.
        busy: whether there was usage in the hour that begins at a time.
        inclusive_end: usage at exactly `end_time` counts.
    """

    def __init__(
        self,
        *,
        late: bool = False,
        restating: bool = False,
        busy: Callable[[Ms], bool] = lambda start: True,
        inclusive_end: bool = False,
    ) -> None:
        self._late = late
        self._restating = restating
        self._busy = busy
        self._inclusive_end = inclusive_end
        self._manual_restatements: Dict[Tuple[int, str, str, Ms], Tuple[Restatement, ...]] = {}

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
        series = (service_type, infer_type, label, start)
        self._manual_restatements[series] = (*self._manual_restatements.get(series, ()), (at, factor))

    def hours(
        self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, end: Ms
    ) -> Iterator[UsageHour]:
        """Iterate over the actual usage of the hours that begin in `[start, end)`."""
        for at in _full_hours(start, end):
            for label in labels:
                yield (
                    _make_hour(service_type, infer_type, label, at) if self._busy(at) else UsageHour(at, 0, 0, 0, 0, 0)
                )

    def hour(self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, now: Ms) -> UsageHour:
        """Return what the cloud reports at `now` for the hour that begins at `start`, the sum over labels."""
        return _sum_hours(start, self._reported_hours(service_type, infer_type, labels, start, start + HOUR, now))

    def totals(self, query: Dict[str, Any], now: Ms) -> Dict[str, Any]:
        """Answer like ShowStatistics, from the hours that are retained and have arrived."""
        ips = query.get("ips", list(ADDRESSES.values()))
        labels = [label for label in query.get("api_keys", API_KEYS) if ADDRESSES.get(label) in ips]
        infer_type = query.get("infer_type", "real_time")
        start, end = query["start_time"], query["end_time"] + self._inclusive_end
        hours = list(self._reported_hours(query["service_type"], infer_type, labels, start, end, now))
        total = _sum_hours(start, hours)
        return {
            "total_request_count": total.requests,
            "total_error_count": total.errors,
            "total_token": _to_thousands(total.prompt_tokens + total.completion_tokens + total.other_tokens),
            "total_prompt_token": _to_thousands(total.prompt_tokens),
            "total_completion_token": _to_thousands(total.completion_tokens),
            "total_completion_tasks": len(hours) if infer_type == "batch" else 0,
            "total_infer_count": total.requests if infer_type == "batch" else 0,
        }

    def _reported_hours(
        self, service_type: int, infer_type: str, labels: Sequence[str], start: Ms, end: Ms, now: Ms
    ) -> Iterator[UsageHour]:
        """Iterate over the hours that begin in `[start, end)`, as far as they are retained and have arrived."""
        for at in _full_hours(max(start, now - RETENTION), end):
            sixths = self._count_arrived_sixths(at, now)
            if not sixths or not self._busy(at):
                continue
            for label in labels:
                factor = self._restatement_factor(service_type, infer_type, label, at, now)
                if factor:
                    hour = _make_hour(service_type, infer_type, label, at)
                    yield hour if sixths == SIXTHS and factor == 1 else _scale(hour, sixths, factor)

    def _count_arrived_sixths(self, start: Ms, now: Ms) -> int:
        if self._late:
            return count_arrived_sixths(start, now)
        return SIXTHS if start < now - LAG else 0

    def _restatement_factor(self, service_type: int, infer_type: str, label: str, start: Ms, now: Ms) -> float:
        """Return by how much the usage of an hour is multiplied at a time; 1 if it was not restated."""
        known: Tuple[Restatement, ...] = ()
        if self._restating:
            known = restatements(service_type, infer_type, label, start)
        if self._manual_restatements:
            known += self._manual_restatements.get((service_type, infer_type, label, start), ())
        past = [restatement for restatement in known if restatement[0] <= now]
        return sorted(past, key=lambda restatement: restatement[0])[-1][1] if past else 1.0


def _full_hours(start: Ms, end: Ms) -> range:
    return range(-(-start // HOUR) * HOUR, end, HOUR)


def _sum_hours(start: Ms, hours: Iterable[UsageHour]) -> UsageHour:
    requests = errors = prompt = completion = other = 0
    for hour in hours:
        requests += hour.requests
        errors += hour.errors
        prompt += hour.prompt_tokens
        completion += hour.completion_tokens
        other += hour.other_tokens
    return UsageHour(start, requests, errors, prompt, completion, other)


def _scale(hour: UsageHour, sixths: int, factor: float) -> UsageHour:
    counts = (hour.requests, hour.errors, hour.prompt_tokens, hour.completion_tokens, hour.other_tokens)
    return UsageHour(hour.start, *(round(count * sixths // SIXTHS * factor) for count in counts))


def _to_thousands(tokens: int) -> float:
    return float(Decimal(tokens) / 1000)


@functools.lru_cache(maxsize=100_000)
def _make_hour(service_type: int, infer_type: str, label: str, at: Ms) -> UsageHour:
    """Generate one hour: more usage by day and on weekdays, errors in bursts."""
    seed = noise(service_type, infer_type, label, at)
    jitter = [0.7 + byte / 425 for byte in seed]  # 0.7 to 1.3
    day, hour = divmod(at // HOUR + 8, 24)  # UTC+8
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    load = DAY_CURVE[hour] * weekend * SERVICE_TYPES[service_type] * INFER_TYPES[infer_type] * API_KEYS[label]
    requests = int(load * 12 * jitter[0])
    errors = int(requests * (0.45 if seed[1] > 240 else 0.02) * jitter[2])
    prompt = int((requests - errors) * 18_000 * jitter[3])
    completion = int((requests - errors) * 450 * jitter[4])
    return UsageHour(at, requests, errors, prompt, completion, int(prompt * 0.02 * jitter[5]))
