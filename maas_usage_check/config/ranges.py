"""Ranges of time: `last_7d`, `this_month`, 2026-05-08..2026-05-21.

A range becomes one half-open window. `clip` cuts it to the API's retention and splits it into windows that the API
accepts. All times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Callable, Iterator, List, Optional, Tuple, Union

import msgspec
from msgspec import Struct

from ..metrics import check_tag_text

HOUR = 3_600_000
DAY = 24 * HOUR
RETENTION = 30 * DAY
"""How long the API keeps statistics (its page)."""
MAX_WINDOW = 29 * DAY
"""The longest window of a query: that of Huawei's own script. Whether the API accepts 30 days is not known."""

Moment = Union[dt.date, dt.datetime]
Zone = Callable[[], dt.tzinfo]
"""Called only where a local date matters: finding the host's zone costs time."""

CALENDAR = ("today", "yesterday", "this_month")
ROLLING = re.compile(r"last_([0-9]{1,9})([dh])", re.ASCII)
FORMS = "`last_<N>d`, `last_<N>h`, `today`, `yesterday`, `this_month` or {name, from, to}"


class Window(Struct, frozen=True):
    """`[start, end)` in milliseconds."""

    start: int
    end: int


class Clipped(Struct, frozen=True):
    """The part of a range within the retention: adjoining windows, and the share of the range they cover."""

    windows: Tuple[Window, ...]
    coverage: float


class Rolling(Struct, frozen=True):
    """A length of time up to now."""

    name: str
    length_ms: int

    def window(self, now_ms: int, zone: Zone) -> Window:
        """Return the window at `now_ms`."""
        return Window(now_ms - self.length_ms, now_ms)


class Calendar(Struct, frozen=True):
    """A day or month of a zone: today, yesterday, this month."""

    name: str

    def window(self, now_ms: int, zone: Zone) -> Window:
        """Return the window at `now_ms`."""
        tz = zone()
        today = dt.datetime.fromtimestamp(now_ms / 1000, tz).date()
        if self.name == "today":
            return Window(to_ms(today, tz), now_ms)
        if self.name == "yesterday":
            return Window(to_ms(today - dt.timedelta(days=1), tz), to_ms(today, tz))
        return Window(to_ms(today.replace(day=1), tz), now_ms)


class Fixed(Struct, frozen=True):
    """The time between two moments; without the second, up to now.

    A date means its local midnight at both ends: the day `until` itself is not included, as in Huawei's script.
    """

    name: str
    since: Moment
    until: Optional[Moment] = None

    def window(self, now_ms: int, zone: Zone) -> Window:
        """Return the window at `now_ms`."""
        start = to_ms(self.since, zone)
        if self.until is None:
            return Window(start, now_ms)
        # An end in the future is cut at now, but never before the start: the clock may have been set back.
        return Window(start, max(start, min(to_ms(self.until, zone), now_ms)))


Range = Union[Rolling, Calendar, Fixed]


def parse_range(value: Any) -> Range:
    """Parse a range; raise ValueError if it is invalid."""
    if isinstance(value, dict):
        return _parse_fixed(value)
    if value in CALENDAR:
        return Calendar(value)
    rolling = ROLLING.fullmatch(value) if isinstance(value, str) else None
    if not rolling or int(rolling[1]) < 1:
        raise ValueError(f"not a range; write {FORMS}, with N at least 1")
    return Rolling(value, int(rolling[1]) * (DAY if rolling[2] == "d" else HOUR))


def parse_moment(value: Any) -> Moment:
    """Parse a date or a date-time, with or without an offset; raise ValueError for anything else."""
    if isinstance(value, dt.date):  # parsed by YAML; a datetime is a date too
        return value
    if not isinstance(value, str):
        raise ValueError('not a date; write "2026-05-08" or "2026-05-08T06:00:00", in quotes')
    for kind in (dt.date, dt.datetime):
        try:
            moment: Moment = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
        return moment
    raise ValueError('no such date; write "2026-05-08" or "2026-05-08T06:00:00"')


def check_order(span: Fixed, now_ms: int, zone: Zone) -> None:
    """Raise ValueError if a fixed range ends before it starts, or has not begun."""
    start = to_ms(span.since, zone)
    if span.until is not None and to_ms(span.until, zone) <= start:
        raise ValueError(
            "`to` must lie after `from` (a `to` date means its midnight, so the day itself is not counted)"
        )
    if start > now_ms:
        raise ValueError("the range has not begun; set `from` to a time in the past")


def clip(window: Window, now_ms: int) -> Clipped:
    """Clip a window to the API's retention, and split it into windows of at most MAX_WINDOW."""
    start = max(window.start, now_ms - RETENTION)
    if window.start < start and start >= window.end:
        return Clipped((), 0.0)
    length = window.end - window.start
    return Clipped(tuple(_split(start, window.end)), (window.end - start) / length if length else 1.0)


def month_window(at_ms: int, tz: dt.tzinfo) -> Window:
    """Return the calendar month of an instant, in a zone."""
    first = dt.datetime.fromtimestamp(at_ms / 1000, tz).date().replace(day=1)
    return Window(to_ms(first, tz), to_ms((first + dt.timedelta(days=31)).replace(day=1), tz))


def local_days(start_ms: int, until_ms: int, tz: dt.tzinfo) -> Iterator[Tuple[int, int]]:
    """Yield the local days from that of `start_ms` on, as the whole hours of UTC that begin in each."""
    day = dt.datetime.fromtimestamp(start_ms / 1000, tz).date()
    end = ceil_hour(to_ms(day, tz))
    while end < until_ms:
        day += dt.timedelta(days=1)
        start, end = end, ceil_hour(to_ms(day, tz))
        yield start, end


def ceil_hour(at_ms: int) -> int:
    """Return the start of the first whole hour at or after a time."""
    return -(-at_ms // HOUR) * HOUR


def to_ms(moment: Moment, zone: Union[Zone, dt.tzinfo]) -> int:
    """Convert a date (its local midnight) or a date-time into milliseconds.

    A local time that a clock change skips becomes the moment of the change; one that occurs twice is the first.
    """
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        tz = zone if isinstance(zone, dt.tzinfo) else zone()
        moment = moment.replace(tzinfo=tz)
    since_epoch = moment - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    return since_epoch // dt.timedelta(milliseconds=1)


def _parse_fixed(value: Any) -> Fixed:
    unknown = [str(key) for key in value if key not in ("name", "from", "to")]
    if unknown:
        raise ValueError(f"unknown key `{unknown[0]}`; a range has name, from and to")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("`name` is missing; it becomes the tag `range`")
    name = name.strip()
    check_tag_text(f"range:{name}")
    if value.get("from") is None:
        raise ValueError("`from` is missing; add a date")
    until = value.get("to")
    return Fixed(name, parse_moment(value["from"]), None if until is None else parse_moment(until))


def _split(start: int, end: int) -> List[Window]:
    windows = []
    while end - start > MAX_WINDOW:
        full_hour = (start + MAX_WINDOW) // HOUR * HOUR
        windows.append(Window(start, full_hour))
        start = full_hour
    return [*windows, Window(start, end)]
