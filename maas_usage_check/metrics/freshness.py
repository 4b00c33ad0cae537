"""Which points may be shown as they are now, where no time is carried."""

from __future__ import annotations

from typing import List, Sequence

from .catalogue import MINUTE_TIMESTAMPED
from .points import Point

MINUTE = 60
SHOWN_FOR = 15 * MINUTE
"""Seconds after its end for which a minute may pass for the present."""


def is_fresh(minute: float, now: float) -> bool:
    """Tell whether the minute that begins at a time may be shown as now; both are seconds since 1970."""
    return minute + MINUTE + SHOWN_FOR >= now


def fresh_points(points: Sequence[Point], now: float) -> List[Point]:
    """Leave out the minutes that are too old: an old value must not pass for a new one."""
    return [
        point
        for point in points
        if point.measurement not in MINUTE_TIMESTAMPED or is_fresh(point.time / 1_000_000_000, now)
    ]
