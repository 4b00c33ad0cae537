"""How many hours of a period are missing: those that the cloud reports later are not."""

from __future__ import annotations

from ....config.ranges import HOUR
from ....ledger.budgets import DUE_AFTER
from ....ledger.hour_values import floor_hour
from ...report.usage_report import Line


def due_until(now_ms: int) -> int:
    """Return the end of the newest hour that the cloud should have reported."""
    return floor_hour(now_ms - DUE_AFTER)


def missing_hours(line: Line, now_ms: int) -> int:
    """Count the hours of a line that are due and not known. Totals have no gaps: their length is what is due."""
    if not line.gaps:
        return (line.period.length - line.period.covered) // HOUR
    due, missing = due_until(now_ms), 0
    for gap in line.gaps:
        is_whole = gap.hours * HOUR == gap.end - gap.start
        missing += max(0, min(gap.end, due) - gap.start) // HOUR if is_whole else gap.hours
    return missing
