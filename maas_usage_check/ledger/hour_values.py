"""Hours of use: what one holds, and when it is final."""

from __future__ import annotations

from typing import Tuple

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Milliseconds."""
KEPT = 29 * DAY
"""How far back hours are asked: the cloud keeps 30 days (the API's page), and a whole hour must lie within them."""
SETTLES = 3 * HOUR
"""After an hour's end, until what the cloud says of it is final: its statistics lag 1 to 2 hours (console manual)."""

MOST_CLAIMS = 3
"""Answers about a known hour in one cycle: where no two agree, the hour stays as it is until it is queried again."""

FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
Values = Tuple[int, ...]
"""One number for each of FIELDS."""
ZEROS: Values = (0,) * len(FIELDS)


def floor(at: int) -> int:
    """Find the full hour that a moment lies in."""
    return at // HOUR * HOUR


def oldest(now: int) -> int:
    """Find the oldest full hour that is asked."""
    return -(-(now - KEPT) // HOUR) * HOUR


def settled_until(now: int, settles: int = SETTLES) -> int:
    """Tell where the newest hour ends that is final."""
    return floor(now - settles)


def minus(whole: Values, part: Values) -> Values:
    """Subtract; what comes out below zero was not asked at one time."""
    return tuple(one - other for one, other in zip(whole, part))


def plus(one: Values, other: Values) -> Values:
    """Add."""
    return tuple(a + b for a, b in zip(one, other))
