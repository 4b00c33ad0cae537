"""Division of the account's hours among models, API keys and minutes: the calls that Cloud Eye counts.

Every part is a difference of two positions in the hour's calls, so that parts add up to their hour exactly.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Optional, Tuple

from .traffic import HOUR, NO_USAGE, Ms, Traffic, Usage, noise, sum_usage

MINUTE = HOUR // 60
LATENCY_PERIOD = 5 * MINUTE
"""How long a caller's latencies stay the same."""
COUNTED_SERVICE_TYPES = (1, 2)
"""My services and preset services: Cloud Eye counts neither custom endpoints nor batch inference (console manual)."""
TENTHS = (3, 1, 5, 0, 1)
"""Tenths of the calls of five minutes in each minute."""
TENTHS_BEFORE = tuple(
    tuple(sum(TENTHS[(shift + i) % 5] for i in range(minute)) for minute in range(61)) for shift in range(5)
)
"""By where the five minutes begin, the tenths before each minute of an hour; the last is the whole."""
WHOLE = 10 * 60 // 5


class Caller(NamedTuple):
    """The calls of one model by one API key: of each hour of a label, those at `[before, before + weight)` of `of`."""

    label: str
    before: int
    weight: int
    of: int


Callers = Tuple[Caller, ...]


class Minute(NamedTuple):
    """One minute with at least one request. The latencies are sums, so that minutes of several callers add up."""

    usage: Usage
    streamed: int
    """Responses that were streamed."""
    ttft_sum_ms: float
    tpot_sum_ms: float
    latency_sum_ms: float

    @property
    def ttft_ms(self) -> Optional[float]:
        """Mean time to the first token; None if no response was streamed."""
        return round(self.ttft_sum_ms / self.streamed, 3) if self.streamed else None

    @property
    def tpot_ms(self) -> Optional[float]:
        """Mean time for each further token; None if no response was streamed."""
        return round(self.tpot_sum_ms / self.streamed, 3) if self.streamed else None

    @property
    def latency_ms(self) -> float:
        """Mean time to the whole response."""
        return round(self.latency_sum_ms / self.usage.requests, 3)


@functools.lru_cache(maxsize=200_000)
def minute(traffic: Traffic, callers: Callers, start: Ms) -> Optional[Minute]:
    """Return the minute of some callers that begins at `start`; None if it has no request."""
    parts = [one for one in (_caller_minute(traffic, caller, start) for caller in callers) if one]
    if not parts:
        return None
    usage, *sums = zip(*parts)
    return Minute(sum_usage(usage), *map(sum, sums))


@functools.lru_cache(maxsize=200_000)
def _caller_minute(traffic: Traffic, caller: Caller, start: Ms) -> Optional[Minute]:
    usage = _caller_usage(traffic, caller, start, start + MINUTE)
    if not usage.requests:
        return None
    seed = noise("latency", *caller, start // LATENCY_PERIOD)
    ttft_ms, tpot_ms = 200.0 + 3 * seed[0], 15.0 + seed[1] / 10
    streamed = usage.successes if seed[2] % 4 else 0
    latency_sum_ms = 300.0 * usage.requests + usage.completion_tokens * tpot_ms
    return Minute(usage, streamed, streamed * ttft_ms, streamed * tpot_ms, latency_sum_ms)


@functools.lru_cache(maxsize=400_000)
def usage_between(traffic: Traffic, callers: Callers, start: Ms, end: Ms) -> Usage:
    """Sum the usage of some callers in the minutes that begin in `[start, end)`, without computing each minute."""
    return sum_usage(
        _caller_usage(traffic, caller, max(start, hour), min(end, hour + HOUR))
        for hour in range(start // HOUR * HOUR, end, HOUR)
        for caller in callers
    )


def _caller_usage(traffic: Traffic, caller: Caller, start: Ms, end: Ms) -> Usage:
    """Return the usage of some minutes of one hour."""
    hour = start // HOUR * HOUR
    usage = _label_hour(traffic, caller.label, hour)
    if not usage.requests:
        return NO_USAGE
    tenths = TENTHS_BEFORE[usage.prompt_tokens % 5]
    begin, until = (
        _calls_before(usage, caller.before * WHOLE + caller.weight * tenths[(at - hour) // MINUTE], caller.of * WHOLE)
        for at in (start, end)
    )
    return Usage(*(after - before for before, after in zip(begin, until)))


def _calls_before(usage: Usage, position: int, whole: int) -> Usage:
    """Return the calls of an hour that come before a position; its tokens decide where the first one is."""
    requests = (usage.requests * position + usage.prompt_tokens % whole) // whole
    errors = (usage.errors * requests + usage.prompt_tokens % usage.requests) // usage.requests
    successes, of = requests - errors, max(1, usage.successes)
    total, prompt, completion = (tokens * successes // of for tokens in usage[:3])
    return Usage(total, prompt, completion, requests, errors, errors * usage.errors_5xx // max(1, usage.errors))


@functools.lru_cache(maxsize=100_000)
def _label_hour(traffic: Traffic, label: str, start: Ms) -> Usage:
    return sum_usage(traffic.hour(service_type, "real_time", label, start) for service_type in COUNTED_SERVICE_TYPES)
