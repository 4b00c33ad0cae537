"""The periods that `report` has rows for: ranges, or the local days or hours of one range.

All instants are milliseconds since 1970, UTC.
"""

from __future__ import annotations

import datetime as dt
from typing import Callable, List, Optional, Tuple, Union

import msgspec
from msgspec import Struct

from ...config import Instance
from ...config.ranges import HOUR, Calendar, Fixed, Range, Window, clip, to_ms
from ...errors import ConfigError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
TWO_DAYS = dt.timedelta(days=2)
SIZE_OPTIONS = {"day": "--daily", "hour": "--hourly", "model": "--models"}


class Period(Struct, frozen=True):
    """Hold `[start, end)` in milliseconds; `partial` if it covers only a part of the range, day or hour so named."""

    name: str
    start: int
    end: int
    partial: bool


class Layout(Struct, frozen=True):
    """Hold the rows of one instance.

    `configured` is the instance as configured. `queried` is the same with one range per row. `size` is `day`, `hour`,
    or None for the ranges themselves. `ranges` are the configured ranges, `periods` the rows.
    """

    configured: Instance
    queried: Instance
    size: Optional[str]
    ranges: Tuple[Period, ...]
    periods: Tuple[Period, ...]
    tz: dt.tzinfo


def make_layout(instance: Instance, size: Optional[str], now_ms: int) -> Layout:
    """Choose the rows of an instance; raise ConfigError if several ranges are to be split."""
    tz = instance.zone()
    ranges = tuple(period for each in instance.ranges for period in _kept_periods(each, instance, now_ms))
    if size is None:
        return Layout(instance, instance, size, ranges, ranges, tz)
    require_one_range(instance, size)
    split = split_by_day if size == "day" else split_by_hour
    periods = tuple(period for whole in ranges for period in split(whole, tz))
    fixed = tuple(Fixed(period.name, _utc_time(period.start), _utc_time(period.end)) for period in periods)
    queried = msgspec.structs.replace(instance, ranges=fixed or instance.ranges)
    return Layout(instance, queried, size, ranges, periods, tz)


def require_one_range(instance: Instance, size: str) -> None:
    """Raise ConfigError if an instance has several ranges."""
    if len(instance.ranges) > 1:
        option = SIZE_OPTIONS[size]
        raise ConfigError(f"{option}: shows one range; choose it with --last, --from, --this-month or the like")


def split_by_day(whole: Period, tz: dt.tzinfo) -> List[Period]:
    """Split a period at the local midnights."""

    def midnight(at_ms: int, days_later: int) -> int:
        return to_ms(local_time(at_ms, tz).date() + dt.timedelta(days=days_later), tz)

    return _split(whole, midnight, lambda at_ms: local_time(at_ms, tz).date().isoformat())


def is_long(layout: Layout) -> bool:
    """Return True if a layout has the hours of more than 2 days, too many for a row each."""
    if layout.size != "hour":
        return False
    # Also in local time: two days have 49 hours when the clocks are set back.
    lengths = [
        (
            _utc_time(each.end) - _utc_time(each.start),
            local_time(each.end, layout.tz) - local_time(each.start, layout.tz),
        )
        for each in layout.ranges
    ]
    return any(min(each) > TWO_DAYS for each in lengths)


def split_by_hour(whole: Period, tz: dt.tzinfo) -> List[Period]:
    """Split a period at the local full hours."""

    def full_hour(at_ms: int, hours_later: int) -> int:
        at = local_time(at_ms, tz)
        past = dt.timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
        return at_ms - past // dt.timedelta(milliseconds=1) + hours_later * HOUR

    def name(at_ms: int) -> str:
        at = local_time(at_ms, tz)
        # With the UTC offset: when the clocks are set back, two hours have the same local time.
        return f"{at:%Y-%m-%dT%H}:00{at.isoformat()[-6:]}"

    return _split(whole, full_hour, name)


def format_period(period: Union[Period, Window], tz: dt.tzinfo) -> str:
    """Format a period as Huawei's script does; the end is exclusive."""
    start, end = local_time(period.start, tz), local_time(period.end, tz)
    return f"{start:%Y-%m-%d %H:%M:%S} ~ {end:%Y-%m-%d %H:%M:%S} ({end:%Z})"


def local_time(at_ms: int, tz: dt.tzinfo) -> dt.datetime:
    """Convert milliseconds since 1970 to the local time of a zone."""
    return _utc_time(at_ms).astimezone(tz)


def _kept_periods(range_: Range, instance: Instance, now_ms: int) -> List[Period]:
    """Clip a range to the 30 days that the cloud keeps; empty if none of it is kept."""
    clipped = clip(range_.window(now_ms, instance.zone), now_ms)
    if not clipped.windows:
        return []
    unfinished = isinstance(range_, Calendar) and range_.name != "yesterday"
    if isinstance(range_, Fixed) and range_.until is not None:
        unfinished = to_ms(range_.until, instance.zone) > now_ms
    return [Period(range_.name, clipped.windows[0].start, clipped.windows[-1].end, unfinished or clipped.coverage < 1)]


def _split(whole: Period, edge: Callable[[int, int], int], name: Callable[[int], str]) -> List[Period]:
    """Split a period at edges: `edge(at, n)` is the start of the n-th piece after the one that contains `at`."""
    pieces: List[Period] = []
    start = whole.start
    while start < whole.end:
        end = edge(start, 1)
        partial = end > whole.end or (start == whole.start and edge(start, 0) < start)
        pieces.append(Period(name(start), start, min(end, whole.end), partial))
        start = end
    return pieces


def _utc_time(at_ms: int) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=at_ms)
