"""Freshness of points, for formats without a time: an old value must not look like a new one."""

from __future__ import annotations

from typing import List, Sequence

from .catalogue import MINUTE_TIMESTAMPED
from .points import Point

MINUTE_S = 60
FRESH_S = 15 * MINUTE_S
"""Seconds after its end for which a minute is shown as current."""


def is_fresh(minute: float, now: float) -> bool:
    """Return whether a minute may be shown as current. `minute` is its begin; both are seconds since 1970."""
    return minute + MINUTE_S + FRESH_S >= now


def fresh_points(points: Sequence[Point], now: float) -> List[Point]:
    """Drop the points of minutes that are not fresh. `now` is in seconds since 1970."""
    return [
        point
        for point in points
        if point.measurement not in MINUTE_TIMESTAMPED or is_fresh(point.time / 1_000_000_000, now)
    ]
