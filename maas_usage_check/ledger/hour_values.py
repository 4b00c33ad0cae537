"""The values of an hour of use, the time after which it is final, and arithmetic with both."""

from __future__ import annotations

from typing import Tuple

from ..cloud.usage import Usage

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Milliseconds."""
RETENTION = 29 * DAY
"""Hours are queried for so long: the cloud keeps 30 days (its API page), and the whole hour must lie within them."""

HOURS_KEPT = 62 * DAY
"""Older hours are kept as days."""
KEPT = 403 * DAY
"""Days are kept for 13 months of at most 31 days."""

MAX_CONFLICTS = 3
"""Answers about a known hour in one cycle. If no two agree, the hour stays as it is until it is queried again."""

FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
TOTAL_TOKENS, PROMPT_TOKENS, COMPLETION_TOKENS = map(FIELDS.index, FIELDS[:3])
Values = Tuple[int, ...]
"""One number for each of FIELDS."""
ZEROS: Values = (0,) * len(FIELDS)


def floor_hour(at: int) -> int:
    """Return the start of the hour of a time."""
    return at // HOUR * HOUR


def oldest_hour(now_ms: int) -> int:
    """Return the start of the oldest hour that can be queried."""
    return -(-(now_ms - RETENTION) // HOUR) * HOUR


def subtract(whole: Values, part: Values) -> Values:
    """Subtract. A negative result means that usage changed between the two answers."""
    return tuple(one - other for one, other in zip(whole, part))


def add(one: Values, other: Values) -> Values:
    """Add."""
    return tuple(a + b for a, b in zip(one, other))


def usage_values(usage: Usage) -> Values:
    """Return the numbers of an answer in the order of FIELDS."""
    return tuple(getattr(usage, name) for name in FIELDS)
