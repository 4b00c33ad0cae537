"""Simulated usage of one model by one key per minute, computed from the model, the key and the minute alone."""

from __future__ import annotations

import functools
from typing import Iterable, Optional, Tuple

from msgspec import Struct

from .arrivals import HOUR, Ms, noise
from .simulated_usage import DAY_CURVE

MINUTE = HOUR // 60
PATTERN_LENGTH = 5 * MINUTE
"""How long a traffic pattern lasts: its rate, token counts and error rate."""
NIGHT_REQUESTS_PER_HOUR = 20
"""Of a key of weight 1. A busy hour has up to 15 times as many."""
CUMULATIVE_TENTHS = tuple(
    tuple(sum((3, 1, 5, 0, 1)[(shift + i) % 5] for i in range(upto)) for upto in range(6)) for shift in range(5)
)
"""Tenths of a pattern's requests that came before each of its minutes; the last is the whole."""

Caller = Tuple[str, float]
"""A key id, "" for calls without a key, and its weight."""


class Counts(Struct, frozen=True):
    """Counts of a minute or of a longer period, in whole tokens."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    errors_4xx: int
    errors_5xx: int


class Minute(Counts, frozen=True):
    """One minute with at least one request; a latency is None if no response was streamed."""

    ttft_ms: Optional[float]
    tpot_ms: Optional[float]
    latency_ms: float


class TrafficPattern(Struct, frozen=True):
    """The traffic of a caller over five minutes. Tokens are per successful request."""

    requests: int
    cumulative_tenths: Tuple[int, ...]
    errors_per_1000: int
    phase: int
    errors_5xx_per_1000: int
    """Of the errors, not of the requests."""
    prompt_tokens: int
    completion_tokens: int
    other_tokens: int
    ttft_ms: Optional[float]
    tpot_ms: float

    def count(self, first: int, last: int) -> Counts:
        """Count from minute `first`, 0 to 5, up to minute `last`. Differences of totals, so minutes add up exactly."""
        before = self.requests * self.cumulative_tenths[first] // 10
        after = self.requests * self.cumulative_tenths[last] // 10
        errors_before = (before * self.errors_per_1000 + self.phase) // 1000
        errors_after = (after * self.errors_per_1000 + self.phase) // 1000
        errors = errors_after - errors_before
        errors_5xx = errors_after * self.errors_5xx_per_1000 // 1000 - errors_before * self.errors_5xx_per_1000 // 1000
        successes = after - before - errors
        prompt, completion = successes * self.prompt_tokens, successes * self.completion_tokens
        total = prompt + completion + successes * self.other_tokens
        return Counts(after - before, prompt, completion, total, errors - errors_5xx, errors_5xx)


@functools.lru_cache(maxsize=200_000)
def caller_minute(model: str, caller: Caller, at: Ms) -> Optional[Minute]:
    """Return a caller's minute that begins at `at`; None if it has no request."""
    pattern = _make_pattern(model, caller, at // PATTERN_LENGTH * PATTERN_LENGTH)
    index = at % PATTERN_LENGTH // MINUTE
    counts = pattern.count(index, index + 1)
    if not counts.requests:
        return None
    is_streamed = pattern.ttft_ms is not None and _successes(counts) > 0
    return Minute(
        counts.requests,
        counts.prompt_tokens,
        counts.completion_tokens,
        counts.total_tokens,
        counts.errors_4xx,
        counts.errors_5xx,
        pattern.ttft_ms if is_streamed else None,
        pattern.tpot_ms if is_streamed else None,
        300.0 + pattern.completion_tokens * pattern.tpot_ms,
    )


@functools.lru_cache(maxsize=200_000)
def combined_minute(model: str, callers: Tuple[Caller, ...], at: Ms) -> Optional[Minute]:
    """Return the minute of all of a model's callers: sums of counts, and latencies as means over requests."""
    parts = [part for part in (caller_minute(model, caller, at) for caller in callers) if part]
    if not parts:
        return None
    sums = sum_counts(parts)
    streams = [(_successes(part), part.ttft_ms, part.tpot_ms) for part in parts if part.ttft_ms and part.tpot_ms]
    successes = sum(count for count, _, _ in streams)
    return Minute(
        sums.requests,
        sums.prompt_tokens,
        sums.completion_tokens,
        sums.total_tokens,
        sums.errors_4xx,
        sums.errors_5xx,
        sum(count * ttft for count, ttft, _ in streams) / successes if successes else None,
        sum(count * tpot for count, _, tpot in streams) / successes if successes else None,
        sum(part.requests * part.latency_ms for part in parts) / sums.requests,
    )


@functools.lru_cache(maxsize=400_000)
def sum_patterns(model: str, callers: Tuple[Caller, ...], start: Ms, end: Ms) -> Counts:
    """Sum the patterns that begin in `[start, end)`, without computing their minutes."""
    if len(callers) > 1:
        return sum_counts(sum_patterns(model, (caller,), start, end) for caller in callers)
    return sum_counts(_make_pattern(model, callers[0], at).count(0, 5) for at in range(start, end, PATTERN_LENGTH))


def sum_counts(parts: Iterable[Counts]) -> Counts:
    """Return the sums; zeros without any part."""
    requests = prompt = completion = total = errors_4xx = errors_5xx = 0
    for counts in parts:
        requests += counts.requests
        prompt += counts.prompt_tokens
        completion += counts.completion_tokens
        total += counts.total_tokens
        errors_4xx += counts.errors_4xx
        errors_5xx += counts.errors_5xx
    return Counts(requests, prompt, completion, total, errors_4xx, errors_5xx)


def _successes(counts: Counts) -> int:
    return counts.requests - counts.errors_4xx - counts.errors_5xx


@functools.lru_cache(maxsize=200_000)
def _make_pattern(model: str, caller: Caller, at: Ms) -> TrafficPattern:
    """Generate one pattern: more traffic by day and on weekdays, errors in bursts."""
    key_id, weight = caller
    seed = noise(model, key_id, at)
    day, hour = divmod(at // HOUR + 8, 24)  # UTC+8
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    mean_requests = DAY_CURVE[hour] * weekend * NIGHT_REQUESTS_PER_HOUR * weight * PATTERN_LENGTH / HOUR
    prompt = 2_000 + seed[4] * 32
    return TrafficPattern(
        requests=int(mean_requests * (0.6 + seed[0] / 320) + seed[1] / 256),
        cumulative_tenths=CUMULATIVE_TENTHS[seed[2] % 5],
        errors_per_1000=450 if seed[3] > 246 else 20,
        phase=seed[2] * 1000 // 256,
        errors_5xx_per_1000=300 + seed[3] * 2,
        prompt_tokens=prompt,
        completion_tokens=150 + seed[5] * 2,
        other_tokens=prompt // 50,
        ttft_ms=200.0 + 3 * seed[6] if seed[7] % 4 else None,
        tpot_ms=15.0 + seed[7] / 10,
    )
