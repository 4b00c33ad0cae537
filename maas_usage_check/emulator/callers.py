"""Division of the account's hours among models, API keys and minutes: the calls that Cloud Eye counts.

Every part is a difference of two positions in the hour's calls, so that parts add up to their hour exactly.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Optional, Tuple

from .traffic import HOUR, NO_USAGE, Ms, Traffic, Usage, actual_hour, noise, sum_usage

MINUTE = HOUR // 60
LATENCY_PERIOD = 5 * MINUTE
"""How long the speed of a model stays the same."""
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
    """One minute with at least one request; mean times, None if no response was streamed."""

    usage: Usage
    ttft_ms: Optional[float]
    tpot_ms: Optional[float]
    latency_ms: float


@functools.lru_cache(maxsize=200_000)
def minute_of(traffic: Traffic, model: str, callers: Callers, start: Ms) -> Optional[Minute]:
    """Return the minute of some callers of a model that begins at `start`; None if it has no request."""
    hour, number = start // HOUR * HOUR, start % HOUR // MINUTE
    usage = sum_usage(_caller_usage(traffic, caller, hour, number, number + 1) for caller in callers)
    if not usage.requests:
        return None
    seed = noise("latency", model, start // LATENCY_PERIOD)
    ttft_ms, tpot_ms = 200.0 + 3 * seed[0], 15.0 + seed[1] / 10
    latency_ms = round(300 + usage.completion_tokens * tpot_ms / usage.requests, 3)
    is_streamed = usage.requests > usage.errors and seed[2] % 4
    return Minute(usage, ttft_ms if is_streamed else None, tpot_ms if is_streamed else None, latency_ms)


@functools.lru_cache(maxsize=200_000)
def hour_usage(traffic: Traffic, callers: Callers, start: Ms) -> Usage:
    """Return the usage of some callers in the hour that begins at `start`, the sum of its minutes."""
    return sum_usage(_caller_usage(traffic, caller, start, 0, 60) for caller in callers)


def _caller_usage(traffic: Traffic, caller: Caller, hour: Ms, first: int, last: int) -> Usage:
    """Return the usage from minute `first` of an hour, 0 to 60, up to minute `last`."""
    usage = _label_hour(traffic, caller.label, hour)
    if not usage.requests:
        return NO_USAGE
    tenths = TENTHS_BEFORE[usage.prompt_tokens % 5]
    begin, until = (
        _calls_before(usage, caller.before * WHOLE + caller.weight * tenths[minute], caller.of * WHOLE)
        for minute in (first, last)
    )
    return Usage(*(after - before for before, after in zip(begin, until)))


def _calls_before(usage: Usage, position: int, whole: int) -> Usage:
    """Return the calls of an hour that come before a position; its tokens decide where the first one is."""
    requests = (usage.requests * position + usage.prompt_tokens % whole) // whole
    errors = (usage.errors * requests + usage.prompt_tokens % usage.requests) // usage.requests
    successes = max(1, usage.requests - usage.errors)
    total, prompt, completion = (tokens * (requests - errors) // successes for tokens in usage[:3])
    return Usage(total, prompt, completion, requests, errors, errors * usage.errors_5xx // max(1, usage.errors))


@functools.lru_cache(maxsize=100_000)
def _label_hour(traffic: Traffic, label: str, start: Ms) -> Usage:
    return sum_usage(
        actual_hour(traffic, service_type, "real_time", label, start) for service_type in COUNTED_SERVICE_TYPES
    )
