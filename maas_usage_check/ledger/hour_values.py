"""Hours of use: what one holds, and when it is final."""

from __future__ import annotations

from typing import Tuple

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Milliseconds."""
RETENTION = 29 * DAY
"""How far back hours are asked: the cloud keeps 30 days (the API's page), and a whole hour must lie within them."""
SETTLED_AFTER = 3 * HOUR
"""After an hour's end, until what the cloud says of it is final: its statistics lag 1 to 2 hours (console manual)."""

MAX_CONFLICTS = 3
"""Answers about a known hour in one cycle: where no two agree, the hour stays as it is until it is queried again."""

FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
Values = Tuple[int, ...]
"""One number for each of FIELDS."""
ZEROS: Values = (0,) * len(FIELDS)


def floor_hour(at: int) -> int:
    """Find the full hour that a moment lies in."""
    return at // HOUR * HOUR


def oldest_hour(now_ms: int) -> int:
    """Find the oldest full hour that is asked."""
    return -(-(now_ms - RETENTION) // HOUR) * HOUR


def settled_until(now_ms: int, settled_after_ms: int = SETTLED_AFTER) -> int:
    """Tell where the newest hour ends that is final."""
    return floor_hour(now_ms - settled_after_ms)


def subtract(whole: Values, part: Values) -> Values:
    """Subtract; what comes out below zero was not asked at one time."""
    return tuple(one - other for one, other in zip(whole, part))


def add(one: Values, other: Values) -> Values:
    """Add."""
    return tuple(a + b for a, b in zip(one, other))
