"""What the emulator's account has used: a believable pattern of every hour, worked out from the hour alone."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any, Callable, Dict, Iterable, Iterator, Sequence, Tuple

from msgspec import Struct

from .arrivals import DAY, HOUR, SIXTHS, Restatement, arrived, noise, restatements

RETENTION = 30 * DAY
LAG = 2 * HOUR
SERVICE_TYPES = {1: 0.2, 2: 1.0, 4: 0.05}
"""The API's service types, and how busy each is beside the preset service."""
INFER_TYPES = {"real_time": 1.0, "batch": 0.3}
API_KEYS = {"team-search": 0.5, "team-support": 0.3, "batch-jobs": 0.15, "": 0.05}
"""Labels of the account's API keys and their share of the calls; "" is the online experience."""
ADDRESSES = {"team-search": "10.0.0.1", "team-support": "10.0.0.2", "batch-jobs": "10.0.0.1", "": "192.0.2.7"}
"""Where the calls of each key come from."""
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 13, 15, 15, 14, 12, 9, 7, 5, 4, 3, 2)


class UsageHour(Struct, frozen=True):
    """Hold one hour of one key, or of several. Tokens are whole; the API gives them in thousands."""

    start: int
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    other_tokens: int


class SimulatedUsage:
    """Work out any hour, the same each time, and what the cloud says of it at a moment.

    Args:
        late: an hour arrives in sixths, each an hour or two after it was used, not at once two hours after it began.
        restating: one hour in 40 is restated once, 4 hours to 6 days after its end: half of these upwards.
        busy: whether anything was used in the hour that begins at a moment, milliseconds.
        inclusive_end: use at exactly `end_time` counts.
    """

    def __init__(
        self,
        *,
        late: bool = False,
        restating: bool = False,
        busy: Callable[[int], bool] = lambda start: True,
        inclusive_end: bool = False,
    ) -> None:
        self._late = late
        self._restating = restating
        self._busy = busy
        self._inclusive_end = inclusive_end
        self._by_hand: Dict[Tuple[int, str, str, int], Tuple[Restatement, ...]] = {}

    def restate(
        self,
        start: int,
        factor: float,
        at: int,
        service_type: int = 2,
        infer_type: str = "real_time",
        label: str = "team-search",
    ) -> None:
        """Say from the moment `at` on that the hour that begins at `start` is so many times what was used in it.

        Both are milliseconds. A factor of 0 takes the hour back. Of several restatements the newest holds.
        """
        key = (service_type, infer_type, label, start)
        self._by_hand[key] = (*self._by_hand.get(key, ()), (at, factor))

    def hours(
        self, service_type: int, infer_type: str, labels: Sequence[str], start: int, end: int
    ) -> Iterator[UsageHour]:
        """Go through the hours that begin in `[start, end)` milliseconds, as they were used."""
        for at in _beginnings(start, end):
            for label in labels:
                yield _hour(service_type, infer_type, label, at) if self._busy(at) else UsageHour(at, 0, 0, 0, 0, 0)

    def hour(self, service_type: int, infer_type: str, labels: Sequence[str], start: int, now: int) -> UsageHour:
        """Say what the cloud says at a moment of the hour that begins at `start`, added up over labels.

        Both are milliseconds; `start` is a full hour.
        """
        return _sum(start, self._said(service_type, infer_type, labels, start, start + HOUR, now))

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        """Answer as ShowStatistics does, for the hours that are kept and have arrived."""
        ips = asked.get("ips", list(ADDRESSES.values()))
        labels = [label for label in asked.get("api_keys", API_KEYS) if ADDRESSES.get(label) in ips]
        infer_type = asked.get("infer_type", "real_time")
        start, end = asked["start_time"], asked["end_time"] + self._inclusive_end
        hours = list(self._said(asked["service_type"], infer_type, labels, start, end, now))
        total = _sum(start, hours)
        return {
            "total_request_count": total.requests,
            "total_error_count": total.errors,
            "total_token": _thousands(total.prompt_tokens + total.completion_tokens + total.other_tokens),
            "total_prompt_token": _thousands(total.prompt_tokens),
            "total_completion_token": _thousands(total.completion_tokens),
            "total_completion_tasks": len(hours) if infer_type == "batch" else 0,
            "total_infer_count": total.requests if infer_type == "batch" else 0,
        }

    def _said(
        self, service_type: int, infer_type: str, labels: Sequence[str], start: int, end: int, now: int
    ) -> Iterator[UsageHour]:
        """Go through what is kept, has arrived and was not taken back of the hours that begin in `[start, end)`."""
        for at in _beginnings(max(start, now - RETENTION), end):
            sixths = self._arrived(at, now)
            if not sixths or not self._busy(at):
                continue
            for label in labels:
                factor = self._factor(service_type, infer_type, label, at, now)
                if factor:
                    used = _hour(service_type, infer_type, label, at)
                    yield used if sixths == SIXTHS and factor == 1 else _part(used, sixths, factor)

    def _arrived(self, start: int, now: int) -> int:
        if self._late:
            return arrived(start, now)
        return SIXTHS if start < now - LAG else 0

    def _factor(self, service_type: int, infer_type: str, label: str, start: int, now: int) -> float:
        """Say how many times its use an hour is said to be now."""
        known: Tuple[Restatement, ...] = ()
        if self._restating:
            known = restatements(service_type, infer_type, label, start)
        if self._by_hand:
            known += self._by_hand.get((service_type, infer_type, label, start), ())
        past = [restatement for restatement in known if restatement[0] <= now]
        return sorted(past, key=lambda restatement: restatement[0])[-1][1] if past else 1.0


def _beginnings(start: int, end: int) -> range:
    return range(-(-start // HOUR) * HOUR, end, HOUR)


def _sum(start: int, hours: Iterable[UsageHour]) -> UsageHour:
    requests = errors = prompt = completion = other = 0
    for hour in hours:
        requests += hour.requests
        errors += hour.errors
        prompt += hour.prompt_tokens
        completion += hour.completion_tokens
        other += hour.other_tokens
    return UsageHour(start, requests, errors, prompt, completion, other)


def _part(used: UsageHour, sixths: int, factor: float) -> UsageHour:
    numbers = (used.requests, used.errors, used.prompt_tokens, used.completion_tokens, used.other_tokens)
    return UsageHour(used.start, *(round(number * sixths // SIXTHS * factor) for number in numbers))


def _thousands(tokens: int) -> float:
    return float(Decimal(tokens) / 1000)


@functools.lru_cache(maxsize=100_000)
def _hour(service_type: int, infer_type: str, label: str, at: int) -> UsageHour:
    """Make one hour: busy by day and on weekdays, with errors that come in bursts."""
    seed = noise(service_type, infer_type, label, at)
    near_1 = [0.7 + byte / 425 for byte in seed]  # 0.7 to 1.3
    day, hour = divmod(at // HOUR + 8, 24)  # the mainland's clock
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    busy = DAY_CURVE[hour] * weekend * SERVICE_TYPES[service_type] * INFER_TYPES[infer_type] * API_KEYS[label]
    requests = int(busy * 12 * near_1[0])
    errors = int(requests * (0.45 if seed[1] > 240 else 0.02) * near_1[2])
    prompt = int((requests - errors) * 18_000 * near_1[3])
    completion = int((requests - errors) * 450 * near_1[4])
    return UsageHour(at, requests, errors, prompt, completion, int(prompt * 0.02 * near_1[5]))
