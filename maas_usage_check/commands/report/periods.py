"""The local days and hours of a report, and times as people read them. Instants are milliseconds since 1970, UTC."""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from typing import Iterator, NamedTuple, Optional, Sequence, Union

from ...config.ranges import HOUR, Window
from .usage_report import Period

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
TWO_DAYS = 49
"""Hours: the day on which the clocks are set back has 25."""


class HoursOfPeriod(NamedTuple):
    """The hours of a day or of one hour, by their starts. `partial`: the window cuts the day."""

    name: str
    hours: Sequence[int]
    partial: bool


def split_hours(hours: Sequence[int], size: Optional[str], tz: dt.tzinfo) -> Iterator[HoursOfPeriod]:
    """Split hours by local day or by hour; an hour belongs to the day in which it begins."""
    if size == "hour":
        # With the UTC offset: when the clocks are set back, two hours have the same local time.
        yield from (HoursOfPeriod(local_time(at, tz).isoformat(timespec="minutes"), [at], False) for at in hours)
    elif size == "day":
        for date, group in groupby(hours, lambda at: local_time(at, tz).date()):
            own = list(group)
            is_cut = date in (local_time(own[0] - HOUR, tz).date(), local_time(own[-1] + HOUR, tz).date())
            yield HoursOfPeriod(date.isoformat(), own, is_cut)


def format_period(period: Union[Period, Window], tz: dt.tzinfo) -> str:
    """Format a period as Huawei's script does; the end is exclusive."""
    start, end = local_time(period.start, tz), local_time(period.end, tz)
    return f"{start:%Y-%m-%d %H:%M:%S} ~ {end:%Y-%m-%d %H:%M:%S} ({end:%Z})"


def format_hour(at_ms: int, tz: dt.tzinfo) -> str:
    """Format the start of an hour; with its zone if the same local time comes twice."""
    start = local_time(at_ms, tz)
    is_repeated = start.replace(fold=0).utcoffset() != start.replace(fold=1).utcoffset()
    return f"{start:%m-%d %H:%M %Z}" if is_repeated else f"{start:%m-%d %H:%M}"


def local_time(at_ms: int, tz: dt.tzinfo) -> dt.datetime:
    """Convert milliseconds since 1970 to the local time of a zone."""
    return (EPOCH + dt.timedelta(milliseconds=at_ms)).astimezone(tz)
