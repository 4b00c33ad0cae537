"""Which points may be shown as they are now, where no time is carried."""

from __future__ import annotations

from typing import List, Sequence

from .catalogue import AT_THEIR_MINUTE
from .points import Point

MINUTE = 60
SHOWN_FOR = 15 * MINUTE
"""Seconds after its end for which a minute may pass for the present."""


def is_current(minute: float, now: float) -> bool:
    """Tell whether the minute that begins at a time may be shown as now; both are seconds since 1970."""
    return minute + MINUTE + SHOWN_FOR >= now


def current(points: Sequence[Point], now: float) -> List[Point]:
    """Leave out the minutes that are too old: an old value must not pass for a new one."""
    return [
        point
        for point in points
        if point.measurement not in AT_THEIR_MINUTE or is_current(point.time / 1_000_000_000, now)
    ]
