"""The times that `report` has rows for: ranges, or the local days or hours of one."""

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
OPTIONS = {"day": "--daily", "hour": "--hourly", "model": "--models"}


class Span(Struct, frozen=True):
    """Hold `[start, end)` in milliseconds; `partial` where that is only a part of the range, day or hour so named."""

    name: str
    start: int
    end: int
    partial: bool


class Page(Struct, frozen=True):
    """Hold what is asked and shown of one instance.

    `size` is `day`, `hour`, or None for the ranges themselves; `spans` are those of the rows, `ranges` what was asked
    for; the ranges of `instance` are the spans, those of `asked` are as configured.
    """

    asked: Instance
    instance: Instance
    size: Optional[str]
    ranges: Tuple[Span, ...]
    spans: Tuple[Span, ...]
    tz: dt.tzinfo


def lay_out(asked: Instance, size: Optional[str], now: int) -> Page:
    """Choose the rows of an instance at one moment, in milliseconds; raise ConfigError to cut several ranges up."""
    tz = asked.zone()
    ranges = tuple(span for given in asked.ranges for span in _kept_of(given, asked, now))
    if size is None:
        return Page(asked, asked, size, ranges, ranges, tz)
    check_one(asked, size)
    spans = tuple(piece for span in ranges for piece in (days if size == "day" else hours)(span, tz))
    pieces = tuple(Fixed(span.name, _moment(span.start), _moment(span.end)) for span in spans)
    return Page(asked, msgspec.structs.replace(asked, ranges=pieces or asked.ranges), size, ranges, spans, tz)


def check_one(asked: Instance, size: str) -> None:
    """Raise ConfigError where several ranges are given to what shows one."""
    if len(asked.ranges) > 1:
        raise ConfigError(f"{OPTIONS[size]}: shows one range; choose it with --last, --from, --this-month or the like")


def days(whole: Span, tz: dt.tzinfo) -> List[Span]:
    """Cut a span at the local midnights."""

    def midnight(at: int, later: int) -> int:
        return to_ms(local(at, tz).date() + dt.timedelta(days=later), tz)

    return _cut(whole, midnight, lambda at: local(at, tz).date().isoformat())


def is_long(page: Page) -> bool:
    """Tell whether a page has the hours of more than 2 days, too many for a row each."""
    if page.size != "hour":
        return False
    # By the clock on the wall too: two days are 49 hours when it is set back.
    lengths = [
        (_moment(span.end) - _moment(span.start), local(span.end, page.tz) - local(span.start, page.tz))
        for span in page.ranges
    ]
    return any(min(each) > TWO_DAYS for each in lengths)


def hours(whole: Span, tz: dt.tzinfo) -> List[Span]:
    """Cut a span at the local hours."""

    def full_hour(at: int, later: int) -> int:
        moment = local(at, tz)
        past = dt.timedelta(minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond)
        return at - past // dt.timedelta(milliseconds=1) + later * HOUR

    def name(at: int) -> str:
        moment = local(at, tz)
        # With the offset of the moment itself: when the clocks are set back, an hour of the same name follows.
        return f"{moment:%Y-%m-%dT%H}:00{moment.isoformat()[-6:]}"

    return _cut(whole, full_hour, name)


def period(span: Union[Span, Window], tz: dt.tzinfo) -> str:
    """Write a span as Huawei's script does; the end is not counted."""
    start, end = local(span.start, tz), local(span.end, tz)
    return f"{start:%Y-%m-%d %H:%M:%S} ~ {end:%Y-%m-%d %H:%M:%S} ({end:%Z})"


def local(milliseconds: int, tz: dt.tzinfo) -> dt.datetime:
    """Turn milliseconds since 1970 into a moment of a zone."""
    return _moment(milliseconds).astimezone(tz)


def _kept_of(given: Range, instance: Instance, now: int) -> List[Span]:
    held = clip(given.window(now, instance.zone), now)
    if not held.windows:
        return []
    unfinished = isinstance(given, Calendar) and given.name != "yesterday"
    if isinstance(given, Fixed) and given.until is not None:
        unfinished = to_ms(given.until, instance.zone) > now
    return [Span(given.name, held.windows[0].start, held.windows[-1].end, unfinished or held.coverage < 1)]


def _cut(whole: Span, edge: Callable[[int, int], int], name: Callable[[int], str]) -> List[Span]:
    """Cut a span where `edge` says: the beginning of the piece that holds a moment, or of the so many next."""
    pieces: List[Span] = []
    start = whole.start
    while start < whole.end:
        until = edge(start, 1)
        cut = until > whole.end or (start == whole.start and edge(start, 0) < start)
        pieces.append(Span(name(start), start, min(until, whole.end), cut))
        start = until
    return pieces


def _moment(milliseconds: int) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=milliseconds)
