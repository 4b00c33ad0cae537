"""Arrival of usage in the emulator's statistics, and restatement of hours: both depend on the hour alone."""

from __future__ import annotations

import functools
from typing import Iterable, Tuple

from .traffic import DAY, HOUR, Ms, noise

SIXTHS = 6
RESTATED_ONE_IN = 40
"""One hour in so many is restated."""
MIN_RESTATEMENT_DELAY, MAX_RESTATEMENT_DELAY = 4 * HOUR, 6 * DAY
"""From an hour's end to its restatement."""

Restatement = Tuple[Ms, float]
"""From this time on, an hour is reported as its usage times this factor."""


def count_arrived_sixths(start: Ms, now: Ms) -> int:
    """Count the sixths of an hour's usage that have arrived."""
    return SIXTHS if now >= start + 3 * HOUR else sum(at <= now for at in _arrival_times(start))


@functools.lru_cache(maxsize=10_000)
def _arrival_times(start: Ms) -> Tuple[Ms, ...]:
    """Return when each sixth arrives: one to two hours after its ten minutes end."""
    delays = noise("arrivals", start)
    return tuple(start + (i + 1) * HOUR // SIXTHS + HOUR + delays[i] * HOUR // 256 for i in range(SIXTHS))


@functools.lru_cache(maxsize=100_000)
def restatements(service_type: int, infer_type: str, label: str, start: Ms) -> Tuple[Restatement, ...]:
    """Return the restatements of an hour: for most none, for some one, up or down."""
    seed = noise("restatement", service_type, infer_type, label, start)
    if int.from_bytes(seed[:4], "big") % RESTATED_ONE_IN:
        return ()
    at = start + HOUR + MIN_RESTATEMENT_DELAY + (MAX_RESTATEMENT_DELAY - MIN_RESTATEMENT_DELAY) * seed[4] // 256
    share = seed[6] / 256
    return ((at, 1.1 + share if seed[5] % 2 else max(0.0, share - 0.25)),)


def factor_at(known: Iterable[Restatement], now: Ms) -> float:
    """Return the factor of the newest restatement; 1 before the first."""
    past = sorted((one for one in known if one[0] <= now), key=lambda one: one[0])
    return past[-1][1] if past else 1.0
