"""The local days and hours of a report, and times as people read them. Instants are milliseconds since 1970, UTC."""

from __future__ import annotations

import datetime as dt
from typing import Iterator, NamedTuple, Optional, Union

from ...config.ranges import HOUR, Window, local_days
from .usage_report import Period

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
TWO_DAYS = 49
"""Hours: the day on which the clocks are set back has 25."""


class Part(NamedTuple):
    """The full hours `[start, end)` of a period, a day or an hour. `partial`: they are a part of that day or month."""

    name: str
    start: int
    end: int
    partial: bool = False


def split_hours(window: Window, size: Optional[str], tz: dt.tzinfo) -> Iterator[Part]:
    """Split full hours by local day or by hour; an hour belongs to the day in which it begins."""
    if size == "hour":
        # With the UTC offset: when the clocks are set back, two hours have the same local time.
        for at in range(window.start, window.end, HOUR):
            yield Part(local_time(at, tz).isoformat(timespec="minutes"), at, at + HOUR)
    elif size == "day":
        for day_start, day_end in local_days(window.start, window.end, tz):
            start, end = max(day_start, window.start), min(day_end, window.end)
            if start < end:
                yield Part(local_time(start, tz).date().isoformat(), start, end, (start, end) != (day_start, day_end))


def format_period(period: Union[Period, Window], tz: dt.tzinfo) -> str:
    """Format a period as Huawei's script does; the end is exclusive."""
    start, end = local_time(period.start, tz), local_time(period.end, tz)
    return f"{start:%Y-%m-%d %H:%M:%S} ~ {end:%Y-%m-%d %H:%M:%S} ({end:%Z})"


def format_span(start_ms: int, end_ms: int, tz: dt.tzinfo) -> str:
    """Format full hours: as dates, the last one included, where they are whole local days, else with their times."""
    start, end = local_time(start_ms, tz), local_time(end_ms, tz)
    before, last = local_time(start_ms - HOUR, tz).date(), local_time(end_ms - HOUR, tz).date()
    if before < start.date() and last < end.date():
        return f"{start:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if last > start.date() else "")
    return f"{start:%Y-%m-%d %H:%M} to {end:{'%H:%M' if end.date() == start.date() else '%Y-%m-%d %H:%M'}}"


def format_hour(at_ms: int, tz: dt.tzinfo) -> str:
    """Format the start of an hour; with its zone if the same local time comes twice."""
    start = local_time(at_ms, tz)
    is_repeated = start.replace(fold=0).utcoffset() != start.replace(fold=1).utcoffset()
    return f"{start:%m-%d %H:%M %Z}" if is_repeated else f"{start:%m-%d %H:%M}"


def local_time(at_ms: int, tz: dt.tzinfo) -> dt.datetime:
    """Convert milliseconds since 1970 to the local time of a zone."""
    return (EPOCH + dt.timedelta(milliseconds=at_ms)).astimezone(tz)
