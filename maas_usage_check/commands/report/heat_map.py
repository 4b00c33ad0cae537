"""A heat map of many days: a row per local day, a column per hour, darker where more was used."""

from __future__ import annotations

import datetime as dt
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...cloud.usage import Usage
from .amounts import UNKNOWN, abbreviate_tokens
from .periods import local_time
from .usage_report import sum_usages

SHADES = "·░▒▓█"
ASCII_SHADES = ".-+*#"
"""No use, and the quarters of the largest use in an hour."""
UNKNOWN_HOUR, NO_SUCH_HOUR, MORE_THAN = "?", " ", "> "
HEADING_STEP = 3
"""Hours between two numbers in the heading."""

HourColumn = Tuple[int, int]
"""The local hour of the day, and how many hours of the same number precede it on that day."""


class HeatMap(NamedTuple):
    """Hold the heading, the days as (date, cells, total), the total, and the legend."""

    heading: str
    days: List[Tuple[str, str, str]]
    total: str
    legend: List[str]


def heat_map(hours: Sequence[Tuple[int, Optional[Usage]]], tz: dt.tzinfo, width: int, plain: bool) -> HeatMap:
    """Draw a heat map.

    Args:
        hours: the starts of the hours in order, with their usage; None is unknown.
        tz: the zone of the days and hours.
        width: characters per hour.
        plain: use ASCII only.
    """
    shades = ASCII_SHADES if plain else SHADES
    days: Dict[dt.date, Dict[HourColumn, Optional[Usage]]] = {}
    for at, usage in hours:
        start = local_time(at, tz)
        day = days.setdefault(start.date(), {})
        day[start.hour, sum(hour == start.hour for hour, _ in day)] = usage
    repeated = {column for day in days.values() for column in day if column[1]}
    columns = sorted({(hour, 0) for hour in range(24)} | repeated)
    largest = max((usage.total_tokens for _, usage in hours if usage), default=0)

    def cell(day: Dict[HourColumn, Optional[Usage]], column: HourColumn) -> str:
        if column not in day:
            return NO_SUCH_HOUR
        usage = day[column]
        return UNKNOWN_HOUR if usage is None else shades[-(-usage.total_tokens * (len(shades) - 1) // max(largest, 1))]

    return HeatMap(
        _heading(columns, width),
        [
            (date.isoformat(), "".join(cell(day, column) * width for column in columns), _sum(list(day.values())))
            for date, day in days.items()
        ],
        _sum([usage for _, usage in hours]),
        _legend(shades, largest, bool(repeated)),
    )


def _heading(columns: Sequence[HourColumn], width: int) -> str:
    heading = ""
    for index, (hour, before) in enumerate(columns):
        if hour % HEADING_STEP == 0 and not before:
            heading = heading.ljust(index * width) + f"{hour:02}"
    return heading


def _legend(shades: str, largest: int, has_repeated: bool) -> List[str]:
    """Explain the upper limit of each shade, and the cells without a number."""
    steps = len(shades) - 1
    scale = [
        f"{shade} to {abbreviate_tokens(largest * step // steps)}"
        for step, shade in enumerate(shades)
        if step and largest
    ]
    others = [f"{UNKNOWN_HOUR} not known, > a sum without such hours", "blank: outside the range, or no such hour"]
    if has_repeated:
        others.append("an hour that came twice has two columns")
    return ["Tokens an hour: " + ", ".join([f"{shades[0]} none", *scale]), ", ".join(others)]


def _sum(usages: Sequence[Optional[Usage]]) -> str:
    """Add up the known hours, and say so if one is not known."""
    known = [usage for usage in usages if usage is not None]
    total = sum_usages(known)
    return UNKNOWN if total is None else MORE_THAN * (len(known) < len(usages)) + abbreviate_tokens(total.total_tokens)
