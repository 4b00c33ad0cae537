"""What of a period is not known: hours that the cloud reports later, and hours that are missing."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ....config.ranges import HOUR
from ....ledger.budgets import DUE_AFTER
from ....ledger.hour_values import floor_hour
from ...report.usage_report import Line


class Unknown(NamedTuple):
    """The unknown hours of a period: how many are missing, and since when the cloud's usual delay explains the rest."""

    missing: int
    delayed_since_ms: Optional[int]


def due_until(now_ms: int) -> int:
    """Return the end of the newest hour that the cloud should have reported."""
    return floor_hour(now_ms - DUE_AFTER)


def unknown_hours(line: Line, now_ms: int) -> Unknown:
    """Tell the missing hours of a period from those that the cloud reports later."""
    due, missing, delayed_since = due_until(now_ms), 0, None
    for gap in line.gaps:
        if gap.start >= due:
            delayed_since = gap.start
        elif gap.end > due and gap.hours * HOUR == gap.end - gap.start:
            missing += (due - gap.start) // HOUR
        else:
            missing += gap.hours
    return Unknown(missing, None if missing else delayed_since)
