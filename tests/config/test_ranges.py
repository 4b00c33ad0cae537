from __future__ import annotations

import datetime as dt
import sys
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config.ranges import (
    DAY,
    HOUR,
    MAX_WINDOW,
    RETENTION,
    Window,
    clip,
    parse_moment,
    parse_range,
    to_ms,
)

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo, available_timezones
else:
    from backports.zoneinfo import ZoneInfo, available_timezones

ZONES = sorted(available_timezones() - {"localtime", "build/etc/localtime"})
UTC = dt.timezone.utc
NOON = int(dt.datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1000)

moments = st.integers(0, int(dt.datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000))
zones = st.sampled_from(ZONES).map(ZoneInfo)


def utc() -> dt.tzinfo:
    return UTC


@given(st.integers(1, 10**9 - 1), st.sampled_from("dh"), moments)
def test_rolling_range(count: int, unit: str, now: int) -> None:
    """`last_<N>d` is N x 24 hours up to now, `last_<N>h` N hours."""
    span = parse_range(f"last_{count}{unit}")
    length = dt.timedelta(days=1 if unit == "d" else 0, hours=0 if unit == "d" else 1) // dt.timedelta(milliseconds=1)
    assert span.window(now, utc) == Window(now - count * length, now)


@given(moments, zones)
def test_today(now: int, zone: ZoneInfo) -> None:
    """Today starts at the first moment of the local date."""
    start = parse_range("today").window(now, lambda: zone).start
    date = dt.datetime.fromtimestamp(now / 1000, zone).date()
    assert start <= now
    # The oracle converts the other way: from the start to the wall clock.
    assert dt.datetime.fromtimestamp(start / 1000, zone).date() == date
    assert dt.datetime.fromtimestamp(start / 1000 - 1, zone).date() < date


@given(moments, zones)
def test_yesterday(now: int, zone: ZoneInfo) -> None:
    """Yesterday ends where today starts."""
    today = parse_range("today").window(now, lambda: zone)
    yesterday = parse_range("yesterday").window(now, lambda: zone)
    assert yesterday.end == today.start
    assert yesterday.start < yesterday.end


@given(moments, zones)
def test_this_month(now: int, zone: ZoneInfo) -> None:
    """This month starts on its first day, at the first moment of the local date."""
    start = parse_range("this_month").window(now, lambda: zone).start
    local, first = dt.datetime.fromtimestamp(now / 1000, zone), dt.datetime.fromtimestamp(start / 1000, zone)
    assert (first.year, first.month, first.day) == (local.year, local.month, 1)
    assert dt.datetime.fromtimestamp(start / 1000 - 1, zone).month != local.month


@pytest.mark.parametrize(
    ("zone", "date", "expected"),
    [
        ("Asia/Shanghai", "2026-05-08", "2026-05-07T16:00:00+00:00"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),  # no midnight: the day begins at 01:00
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00"),  # 00:00 comes twice: the first
    ],
)
def test_local_midnight(zone: str, date: str, expected: str) -> None:
    """A date means its local midnight, even where a clock change skips or repeats it."""
    assert to_ms(parse_moment(date), ZoneInfo(zone)) == dt.datetime.fromisoformat(expected).timestamp() * 1000


def test_to_date_is_not_included() -> None:
    """A `to` date means its midnight."""
    span = parse_range({"name": "may", "from": "2026-05-08", "to": "2026-05-21"})
    window = span.window(NOON, utc)
    assert window.end - window.start == 13 * DAY


def test_open_end() -> None:
    """A range with no end, or one in the future, ends now."""
    for until in ({}, {"to": "2027-01-01"}):
        assert parse_range({"name": "open", "from": "2026-11-01", **until}).window(NOON, utc).end == NOON


@pytest.mark.parametrize("value", ["2026-05-08T06:00:00+08:00", dt.datetime(2026, 5, 7, 22), "2026-05-07 22:00:00"])
def test_date_time(value: Any) -> None:
    """A date-time is exact to the second, with or without an offset."""
    expected = dt.datetime(2026, 5, 7, 22, tzinfo=UTC).timestamp() * 1000
    assert to_ms(parse_moment(value), UTC) == expected


@given(moments, st.integers(0, 200 * DAY), st.integers(0, 200 * DAY))
def test_clip(now: int, age: int, length: int) -> None:
    """Windows adjoin, end at the range's end, and are no longer than MAX_WINDOW."""
    window = Window(now - age - length, now - age)
    clipped = clip(window, now)
    # The oracle is the overlap of both intervals.
    overlap = max(0, window.end - max(window.start, now - RETENTION))
    assert sum(part.end - part.start for part in clipped.windows) == overlap
    assert clipped.coverage == (overlap / length if length else float(bool(clipped.windows)))
    edges: List[int] = [part.start for part in clipped.windows] + [part.end for part in clipped.windows[-1:]]
    assert edges == sorted(edges)
    assert all(one.end == other.start for one, other in zip(clipped.windows, clipped.windows[1:]))
    assert all(part.end - part.start <= MAX_WINDOW for part in clipped.windows)
    assert all(part.end % HOUR == 0 for part in clipped.windows[:-1])
    assert not clipped.windows or clipped.windows[-1].end == window.end
