"""The order of requests."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """The most urgent first.

    After LIVE all take the background share of the rate. BY_HAND is for `report` and `doctor`: somebody waits for it.
    """

    RANGE = 0
    LIVE = 1
    BY_HAND = 2
    GAP = 3
    RECENT = 4
    REPAIR = 5
    DAILY_CHECK = 6
    BACKFILL = 7
