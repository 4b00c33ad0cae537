"""What one key did with one model in a minute, worked out from the model, the key and the minute alone."""

from __future__ import annotations

import functools
from typing import Iterable, Optional, Tuple

from msgspec import Struct

from .arrivals import HOUR, noise
from .simulated_usage import DAY_CURVE

MINUTE = HOUR // 60
SPELL = 5 * MINUTE
"""Milliseconds for which a key keeps its manner: how often it asks, how long, and how much of it fails."""
BUSIEST = 20
"""Requests in an hour of the night of a key of weight 1, of which a busy hour has up to 15 times as many."""
CUTS = tuple(
    tuple(sum((3, 1, 5, 0, 1)[(shift + i) % 5] for i in range(upto)) for upto in range(6)) for shift in range(5)
)
"""How many tenths of a spell's requests have come when each of its minutes begins; the last is the whole."""

Caller = Tuple[str, float]
"""An API key, "" for calls without one, and how busy it is with a model."""


class Counts(Struct, frozen=True):
    """Hold what adds up: of a minute, or of a longer stretch. Tokens are whole."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    errors_4xx: int
    errors_5xx: int


class Minute(Counts, frozen=True):
    """Hold one minute in which there was a request; times are milliseconds, None where no answer was streamed."""

    ttft_ms: Optional[float]
    tpot_ms: Optional[float]
    latency_ms: float


class Spell(Struct, frozen=True):
    """Hold a key's manner for five minutes; tokens are those of each request that did not fail."""

    requests: int
    cuts: Tuple[int, ...]
    failing: int
    """Of a thousand requests."""
    phase: int
    at_fault: int
    """The server, in so many of a thousand failures."""
    prompt_tokens: int
    completion_tokens: int
    other_tokens: int
    ttft_ms: Optional[float]
    tpot_ms: float

    def between(self, first: int, last: int) -> Counts:
        """Count from one of its minutes, 0 to 5, up to another: a telescope, so that minutes add up to the whole."""
        before, after = self.requests * self.cuts[first] // 10, self.requests * self.cuts[last] // 10
        failed_before = (before * self.failing + self.phase) // 1000
        failed_after = (after * self.failing + self.phase) // 1000
        failed = failed_after - failed_before
        errors_5xx = failed_after * self.at_fault // 1000 - failed_before * self.at_fault // 1000
        good = after - before - failed
        prompt, completion = good * self.prompt_tokens, good * self.completion_tokens
        total = prompt + completion + good * self.other_tokens
        return Counts(after - before, prompt, completion, total, failed - errors_5xx, errors_5xx)


@functools.lru_cache(maxsize=200_000)
def minute(model: str, caller: Caller, at: int) -> Optional[Minute]:
    """Make the minute that begins at a moment, milliseconds; None if nothing was asked in it."""
    spell = _spell(model, caller, at // SPELL * SPELL)
    index = at % SPELL // MINUTE
    counts = spell.between(index, index + 1)
    if not counts.requests:
        return None
    streamed = spell.ttft_ms is not None and _good(counts) > 0
    return Minute(
        counts.requests,
        counts.prompt_tokens,
        counts.completion_tokens,
        counts.total_tokens,
        counts.errors_4xx,
        counts.errors_5xx,
        spell.ttft_ms if streamed else None,
        spell.tpot_ms if streamed else None,
        300.0 + spell.completion_tokens * spell.tpot_ms,
    )


@functools.lru_cache(maxsize=200_000)
def together(model: str, callers: Tuple[Caller, ...], at: int) -> Optional[Minute]:
    """Put the minute of all of a model's callers together: counts are added up, times are means over requests."""
    parts = [part for part in (minute(model, caller, at) for caller in callers) if part]
    if not parts:
        return None
    sums = added(parts)
    streams = [(_good(part), part.ttft_ms, part.tpot_ms) for part in parts if part.ttft_ms and part.tpot_ms]
    answers = sum(good for good, _, _ in streams)
    return Minute(
        sums.requests,
        sums.prompt_tokens,
        sums.completion_tokens,
        sums.total_tokens,
        sums.errors_4xx,
        sums.errors_5xx,
        sum(good * ttft for good, ttft, _ in streams) / answers if answers else None,
        sum(good * tpot for good, _, tpot in streams) / answers if answers else None,
        sum(part.requests * part.latency_ms for part in parts) / sums.requests,
    )


@functools.lru_cache(maxsize=400_000)
def whole(model: str, callers: Tuple[Caller, ...], start: int, end: int) -> Counts:
    """Add up whole spells, without making their minutes: those that begin in `[start, end)` milliseconds."""
    if len(callers) > 1:
        return added(whole(model, (caller,), start, end) for caller in callers)
    return added(_spell(model, callers[0], at).between(0, 5) for at in range(start, end, SPELL))


def added(some: Iterable[Counts]) -> Counts:
    """Add counts up; of none they are 0."""
    requests = prompt = completion = total = errors_4xx = errors_5xx = 0
    for counts in some:
        requests += counts.requests
        prompt += counts.prompt_tokens
        completion += counts.completion_tokens
        total += counts.total_tokens
        errors_4xx += counts.errors_4xx
        errors_5xx += counts.errors_5xx
    return Counts(requests, prompt, completion, total, errors_4xx, errors_5xx)


def _good(counts: Counts) -> int:
    return counts.requests - counts.errors_4xx - counts.errors_5xx


@functools.lru_cache(maxsize=200_000)
def _spell(model: str, caller: Caller, at: int) -> Spell:
    """Make one spell: busy by day and on weekdays, with errors that come in bursts."""
    key, weight = caller
    seed = noise(model, key, at)
    day, hour = divmod(at // HOUR + 8, 24)  # the mainland's clock
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    usual = DAY_CURVE[hour] * weekend * BUSIEST * weight * SPELL / HOUR
    prompt = 2_000 + seed[4] * 32
    return Spell(
        requests=int(usual * (0.6 + seed[0] / 320) + seed[1] / 256),
        cuts=CUTS[seed[2] % 5],
        failing=450 if seed[3] > 246 else 20,
        phase=seed[2] * 1000 // 256,
        at_fault=300 + seed[3] * 2,
        prompt_tokens=prompt,
        completion_tokens=150 + seed[5] * 2,
        other_tokens=prompt // 50,
        ttft_ms=200.0 + 3 * seed[6] if seed[7] % 4 else None,
        tpot_ms=15.0 + seed[7] / 10,
    )
