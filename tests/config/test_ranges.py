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
def test_a_rolling_range_is_n_times_24_hours_or_n_hours_up_to_now(count: int, unit: str, now: int) -> None:
    span = parse_range(f"last_{count}{unit}")
    length = dt.timedelta(days=1 if unit == "d" else 0, hours=0 if unit == "d" else 1) // dt.timedelta(milliseconds=1)
    assert span.window(now, utc) == Window(now - count * length, now)


@given(moments, zones)
def test_today_starts_at_the_first_instant_of_the_local_date(now: int, zone: ZoneInfo) -> None:
    start = parse_range("today").window(now, lambda: zone).start
    date = dt.datetime.fromtimestamp(now / 1000, zone).date()
    assert start <= now
    # The oracle goes the other way: from the instant to the wall clock.
    assert dt.datetime.fromtimestamp(start / 1000, zone).date() == date
    assert dt.datetime.fromtimestamp(start / 1000 - 1, zone).date() < date


@given(moments, zones)
def test_yesterday_ends_where_today_starts(now: int, zone: ZoneInfo) -> None:
    today = parse_range("today").window(now, lambda: zone)
    yesterday = parse_range("yesterday").window(now, lambda: zone)
    assert yesterday.end == today.start
    assert yesterday.start < yesterday.end


@given(moments, zones)
def test_this_month_starts_on_the_first_at_local_midnight(now: int, zone: ZoneInfo) -> None:
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
def test_a_date_means_its_local_midnight_even_where_a_clock_change_skips_or_repeats_it(
    zone: str, date: str, expected: str
) -> None:
    assert to_ms(parse_moment(date), ZoneInfo(zone)) == dt.datetime.fromisoformat(expected).timestamp() * 1000


def test_a_to_date_is_its_midnight_so_the_day_itself_is_not_counted() -> None:
    span = parse_range({"name": "may", "from": "2026-05-08", "to": "2026-05-21"})
    window = span.window(NOON, utc)
    assert window.end - window.start == 13 * DAY


def test_a_range_goes_up_to_now_where_its_end_lies_in_the_future_or_is_left_out() -> None:
    for until in ({}, {"to": "2027-01-01"}):
        assert parse_range({"name": "open", "from": "2026-11-01", **until}).window(NOON, utc).end == NOON


@pytest.mark.parametrize("value", ["2026-05-08T06:00:00+08:00", dt.datetime(2026, 5, 7, 22), "2026-05-07 22:00:00"])
def test_a_date_time_is_taken_to_the_second_with_or_without_an_offset(value: Any) -> None:
    expected = dt.datetime(2026, 5, 7, 22, tzinfo=UTC).timestamp() * 1000
    assert to_ms(parse_moment(value), UTC) == expected


@given(moments, st.integers(0, 200 * DAY), st.integers(0, 200 * DAY))
def test_what_is_kept_adjoins_ends_at_the_end_and_is_never_longer_than_the_api_takes(
    now: int, age: int, length: int
) -> None:
    window = Window(now - age - length, now - age)
    held = clip(window, now)
    # The oracle counts what lies in both intervals.
    overlap = max(0, window.end - max(window.start, now - RETENTION))
    assert sum(part.end - part.start for part in held.windows) == overlap
    assert held.coverage == (overlap / length if length else float(bool(held.windows)))
    edges: List[int] = [part.start for part in held.windows] + [part.end for part in held.windows[-1:]]
    assert edges == sorted(edges)
    assert all(one.end == other.start for one, other in zip(held.windows, held.windows[1:]))
    assert all(part.end - part.start <= MAX_WINDOW for part in held.windows)
    assert all(part.end % HOUR == 0 for part in held.windows[:-1])
    assert not held.windows or held.windows[-1].end == window.end
