"""The hours of many days as a map: a row for each local day, a column for each hour, darker where more was used."""

from __future__ import annotations

import datetime as dt
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...cloud.usage import Usage
from .amounts import UNKNOWN, short
from .periods import Span, local
from .rows import total

SHADES = "·░▒▓█"
ASCII_SHADES = ".-+*#"
"""Nothing used, and the quarters of the most that was used in an hour."""
NOT_KNOWN, NO_SUCH_HOUR = "?", " "
HEADED = 3
"""Every so many hours have their number above them."""

Place = Tuple[int, int]
"""An hour of the day by the clock on the wall, and how many of the same name came before it on that day."""


class HeatMap(NamedTuple):
    """Hold the lines of a map: the hours' numbers, the days with their cells and totals, and what the cells mean."""

    heading: str
    days: List[Tuple[str, str, str]]
    total: str
    legend: List[str]


def heat_map(pieces: Sequence[Tuple[Span, Optional[Usage]]], tz: dt.tzinfo, width: int, plain: bool) -> HeatMap:
    """Draw a map of hours.

    Args:
        pieces: the hours in their order, with what was used; None is not known.
        tz: whose days and hours they are.
        width: letters for an hour.
        plain: the terminal knows ASCII alone.
    """
    shades = ASCII_SHADES if plain else SHADES
    days: Dict[dt.date, Dict[Place, Optional[Usage]]] = {}
    for span, usage in pieces:
        begins = local(span.start, tz)
        day = days.setdefault(begins.date(), {})
        day[begins.hour, sum(hour == begins.hour for hour, _ in day)] = usage
    twice = {place for day in days.values() for place in day if place[1]}
    columns = sorted({(hour, 0) for hour in range(24)} | twice)
    most = max((usage.total_tokens for _, usage in pieces if usage), default=0)

    def cell(day: Dict[Place, Optional[Usage]], place: Place) -> str:
        if place not in day:
            return NO_SUCH_HOUR
        usage = day[place]
        return NOT_KNOWN if usage is None else shades[-(-usage.total_tokens * (len(shades) - 1) // max(most, 1))]

    return HeatMap(
        _heading(columns, width),
        [
            (date.isoformat(), "".join(cell(day, place) * width for place in columns), _sum(list(day.values())))
            for date, day in days.items()
        ],
        _sum([usage for _, usage in pieces]),
        _legend(shades, most, bool(twice)),
    )


def _heading(columns: Sequence[Place], width: int) -> str:
    heading = ""
    for at, (hour, before) in enumerate(columns):
        if hour % HEADED == 0 and not before:
            heading = heading.ljust(at * width) + f"{hour:02}"
    return heading


def _legend(shades: str, most: int, twice: bool) -> List[str]:
    """Say what each shade reaches up to, and what is no number."""
    steps = len(shades) - 1
    scale = [f"{shade} to {short(most * step // steps)}" for step, shade in enumerate(shades) if step and most]
    others = [f"{NOT_KNOWN} not known", "blank: outside the range, or no such hour"]
    if twice:
        others.append("an hour that came twice has two columns")
    return ["Tokens an hour: " + ", ".join([f"{shades[0]} none", *scale]), ", ".join(others)]


def _sum(usages: Sequence[Optional[Usage]]) -> str:
    usage = total(usages)
    return UNKNOWN if usage is None else short(usage.total_tokens)
