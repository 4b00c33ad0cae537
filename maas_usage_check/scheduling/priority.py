"""The order of requests."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """The most urgent first; what comes after LIVE is background."""

    RANGE = 0
    LIVE = 1
    GAP = 2
    RECENT = 3
    REPAIR = 4
    DAILY_CHECK = 5
    BACKFILL = 6

    @property
    def is_background(self) -> bool:
        """True if it takes the background share of the rate."""
        return self > Priority.LIVE
