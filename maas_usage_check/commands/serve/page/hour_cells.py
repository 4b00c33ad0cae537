"""The heat map: a row of cells per local day, a column per hour."""

from __future__ import annotations

import datetime as dt
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ....ledger.hour_values import HOURS_KEPT
from ...report.heat_map import HourColumn
from ...report.periods import local_time
from .content import PageContent
from .formats import Formats
from .missing_hours import due_until

SHADES = 5
UNKNOWN, WAITING, ABSENT = "u", "w", ""
"""Classes of a cell: not known, not reported yet, no such hour in the period. Others are q0 to q5, by tokens."""


class Cell(NamedTuple):
    """One hour: its class, and its tokens. `again`: the hour before it has the same number."""

    kind: str
    tokens: Optional[int] = None
    again: bool = False


class HeatMap(NamedTuple):
    """The columns and days, as (name, cells).

    Attributes:
        limits: the upper limits of the shades.
        kinds: the kinds of all cells.
        is_known: whether any hour is.
        is_old: whether its hours are no longer kept.
    """

    columns: Sequence[HourColumn]
    days: Sequence[Tuple[str, Sequence[Cell]]]
    limits: Sequence[int]
    kinds: FrozenSet[str]
    is_known: bool
    is_old: bool


def draw_hours(content: PageContent, formats: Formats) -> HeatMap:
    """Lay out the heat map of the period."""
    due, largest = due_until(content.now_ms), max((each.total_tokens for _, each in content.hours if each), default=0)
    days: Dict[dt.date, Dict[HourColumn, Cell]] = {}
    names: Dict[dt.date, str] = {}
    for at, usage in content.hours:
        start = local_time(at, content.tz)
        day = days.setdefault(start.date(), {})
        names.setdefault(start.date(), formats.date(at))
        before = sum(hour == start.hour for hour, _ in day)
        tokens = usage.total_tokens if usage else None
        day[start.hour, before] = Cell(_kind(tokens, largest, at >= due), tokens, bool(before))
    repeated = {column for day in days.values() for column in day if column[1]}
    columns: List[HourColumn] = sorted({(hour, 0) for hour in range(24)} | repeated)
    rows = [
        (names[date], [day.get(column, Cell(ABSENT, again=bool(column[1]))) for column in columns])
        for date, day in days.items()
    ]
    limits = [largest * step // SHADES for step in range(1, SHADES + 1)] if largest >= SHADES else []
    return HeatMap(
        columns,
        rows,
        limits,
        frozenset(cell.kind for _, cells in rows for cell in cells),
        any(usage is not None for _, usage in content.hours),
        content.period.whole.period.start < content.now_ms - HOURS_KEPT,
    )


def _kind(tokens: Optional[int], largest: int, is_awaited: bool) -> str:
    if tokens is None:
        return WAITING if is_awaited else UNKNOWN
    return f"q{-(-tokens * SHADES // max(largest, 1))}"
