"""Freshness of points, for formats without a time: an old value must not look like a new one."""

from __future__ import annotations

from typing import List, Sequence

from .catalogue import MINUTE_TIMESTAMPED
from .points import Point

MINUTE_S = 60
FRESH_S = 15 * MINUTE_S
"""Seconds after its end for which a minute is shown as current."""


def is_fresh(minute_s: float, now_s: float) -> bool:
    """Return whether the minute that begins at `minute_s` may be shown as current. Times are seconds since 1970."""
    return minute_s + MINUTE_S + FRESH_S >= now_s


def fresh_points(points: Sequence[Point], now_s: float) -> List[Point]:
    """Drop the points of minutes that are not fresh. `now_s` is in seconds since 1970."""
    return [
        point
        for point in points
        if point.measurement not in MINUTE_TIMESTAMPED or is_fresh(point.time / 1_000_000_000, now_s)
    ]
