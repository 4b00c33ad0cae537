"""The period of a report in full hours, and the one before it to compare with."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, Optional

from msgspec import Struct

from ...config import Instance
from ...config.ranges import HOUR, Calendar, Fixed, Range, Rolling, Window, Zone, ceil_hour, month_window, to_ms
from ...errors import ConfigError
from ...ledger.hour_values import KEPT
from ...ledger.window import whole_hours
from .periods import local_time

FINAL_AFTER = 3 * HOUR
"""With `--compare`, a running period ends so long ago: later hours would look like a fall."""
DAY = dt.timedelta(days=1)


class Month(Struct, frozen=True):
    """A calendar month by its first day; without one, the month before that of now."""

    name: str
    first: Optional[dt.date] = None

    def whole(self, now_ms: int, zone: Zone) -> Window:
        """Return the whole month."""
        tz = zone()
        if self.first is not None:
            return month_window(to_ms(self.first + DAY, tz), tz)
        return month_window(month_window(now_ms, tz).start - 1, tz)

    def window(self, now_ms: int, zone: Zone) -> Window:
        """Return the month up to now."""
        month = self.whole(now_ms, zone)
        return Window(month.start, min(month.end, now_ms))

    def check(self, now_ms: int, zone: Zone, option: str = "--month") -> None:
        """Raise ConfigError, which names the option, if it has not begun, or if nothing of it is kept."""
        month = self.whole(now_ms, zone)
        if month.start > now_ms:
            raise ConfigError(f"{option}: {self.name} has not begun; choose a month of the past")
        if month.end <= now_ms - KEPT:
            since = local_time(now_ms - KEPT, zone())
            text = f"{self.name} is more than 13 months ago: usage is kept from {since:%Y-%m-%d} on"
            raise ConfigError(f"{option}: {text}; choose a later month")


class AskedPeriod(NamedTuple):
    """The full hours of UTC that are over in an instance's one range.

    Attributes:
        name: of the range.
        hours: all of them.
        kept: those for which the ledger may have usage.
        is_unfinished: the range goes on.
        previous: those of the period before, if they are compared.
    """

    name: str
    hours: Window
    kept: Window
    is_unfinished: bool = False
    previous: Optional[Window] = None


def ask_period(instance: Instance, is_models: bool, now_ms: int, compares: bool = False) -> AskedPeriod:
    """List the hours of a report."""
    (range_,) = instance.ranges
    window, unfinished = range_.window(now_ms, instance.zone), is_unfinished(range_, instance, now_ms)
    hours = whole_hours(window, now_ms - FINAL_AFTER if compares else now_ms, is_models)
    start = min(max(hours.start, ceil_hour(now_ms - KEPT)), hours.end)
    previous = previous_hours(range_, hours, instance.zone()) if compares else None
    return AskedPeriod(range_.name, hours, Window(start, hours.end), unfinished, previous)


def is_unfinished(range_: Range, instance: Instance, now_ms: int) -> bool:
    """Return True if a range goes on after now."""
    if isinstance(range_, Month):
        return range_.whole(now_ms, instance.zone).end > now_ms
    if isinstance(range_, Fixed):
        return range_.until is not None and to_ms(range_.until, instance.zone) > now_ms
    return isinstance(range_, Calendar) and range_.name != "yesterday"


def calendar_month(range_: Range, now_ms: int, zone: Zone) -> Optional[Window]:
    """Return the whole calendar month that a range is about, or None."""
    if isinstance(range_, Month):
        return range_.whole(now_ms, zone)
    is_this_month = isinstance(range_, Calendar) and range_.name == "this_month"
    return month_window(now_ms, zone()) if is_this_month else None


def previous_hours(range_: Range, hours: Window, tz: dt.tzinfo) -> Window:
    """Return the full hours of the period before: of a month the same days and hours of the last one."""
    start, end = (local_time(at, tz).replace(tzinfo=None) for at in (hours.start, hours.end))
    if isinstance(range_, Month) or (isinstance(range_, Calendar) and range_.name == "this_month"):
        month = month_window(hours.start, tz)
        before = month_window(month.start - 1, tz)
        first = local_time(before.start, tz).replace(tzinfo=None)
        same_time = first + (end - start.replace(day=1, hour=0, minute=0))
        until = before.end if hours.end >= month.end else min(before.end, to_ms(same_time, tz))
        return Window(ceil_hour(before.start), ceil_hour(until))
    if isinstance(range_, Calendar):
        length = DAY
    elif isinstance(range_, Fixed) and type(range_.since) is type(range_.until) is dt.date:
        length = range_.until - range_.since
    else:
        length_ms = range_.length_ms if isinstance(range_, Rolling) else hours.end - hours.start
        return Window(ceil_hour(hours.start - length_ms), ceil_hour(hours.end - length_ms))
    return Window(*(ceil_hour(to_ms(each - length, tz)) for each in (start, end)))
