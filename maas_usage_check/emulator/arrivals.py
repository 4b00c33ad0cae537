"""When use arrives in the emulator's statistics, and which hours are restated later, worked out from the hour alone."""

from __future__ import annotations

import functools
import hashlib
from typing import Tuple

HOUR = 3_600_000
DAY = 24 * HOUR
"""Milliseconds; the stand-in has its own numbers, for it must not share a mistake with what it checks."""

SIXTHS = 6
ONE_IN = 40
"""How many hours there are for each that is restated."""
SOONEST, LATEST = 4 * HOUR, 6 * DAY
"""How long after an hour's end it is restated."""

Restatement = Tuple[int, float]
"""From when on, in milliseconds, an hour is said to be how many times its use."""


def arrived(start: int, now: int) -> int:
    """Count the sixths of an hour's use that have arrived by a moment; both are milliseconds."""
    return SIXTHS if now >= start + 3 * HOUR else sum(moment <= now for moment in _arrivals(start))


@functools.lru_cache(maxsize=10_000)
def _arrivals(start: int) -> Tuple[int, ...]:
    """Say when each sixth arrives: one to two hours after its ten minutes are over."""
    delays = noise("arrivals", start)
    return tuple(start + (i + 1) * HOUR // SIXTHS + HOUR + delays[i] * HOUR // 256 for i in range(SIXTHS))


@functools.lru_cache(maxsize=100_000)
def restatements(service_type: int, infer_type: str, label: str, start: int) -> Tuple[Restatement, ...]:
    """Say how the hour is restated: once, up or down, or, as most are, not at all."""
    seed = noise("restatement", service_type, infer_type, label, start)
    if int.from_bytes(seed[:4], "big") % ONE_IN:
        return ()
    at = start + HOUR + SOONEST + (LATEST - SOONEST) * seed[4] // 256
    share = seed[6] / 256
    return ((at, 1.1 + share if seed[5] % 2 else max(0.0, share - 0.25)),)


def noise(*what: object) -> bytes:
    """Draw eight bytes, for the same words the same each time."""
    return hashlib.blake2b(" ".join(map(str, what)).encode(), digest_size=8).digest()
