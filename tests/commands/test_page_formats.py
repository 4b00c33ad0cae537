"""Numbers as people write them, at their boundaries; and the scale of the chart."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Optional, Sequence

import pytest

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.usage_report import Gap, Line, Period
from maas_usage_check.commands.serve.page.columns import draw_columns, other_tokens, scale_of
from maas_usage_check.commands.serve.page.formats import MAX_NAME, Formats, cut_name
from maas_usage_check.commands.serve.page.missing_hours import missing_hours
from maas_usage_check.config.ranges import HOUR

from .page_sample import Sample

NOON = 1_795_435_200_000
"""2026-11-23 12:00 UTC."""
MINUTE, DAY = 60_000, 24 * HOUR
ENGLISH, CHINESE = (Formats(language, "CNY", dt.timezone.utc, NOON) for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("count", "english", "chinese"),
    [
        (None, None, None),
        (0, "0", "0"),
        (9_999, "9,999", "9,999"),
        (10_000, "10.0 K", "1.00 万"),
        (12_345, "12.3 K", "1.23 万"),
        (999_499, "999 K", "99.9 万"),
        (999_500, "1.00 M", "100 万"),
        (1_235_000, "1.24 M", "124 万"),
        (99_949_999, "99.9 M", "9,995 万"),
        (99_950_000, "100 M", "1.00 亿"),
        (123_456_789, "123 M", "1.23 亿"),
        (999_499_999, "999 M", "9.99 亿"),
        (999_500_000, "1.00 B", "10.0 亿"),
        (1_234_567_890_123, "1,235 B", "12,346 亿"),
    ],
)
def test_short(count: Optional[int], english: Optional[str], chinese: Optional[str]) -> None:
    assert (ENGLISH.short(count), CHINESE.short(count)) == (english, chinese)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, None), (0, "0"), (10_000, "10 K"), (1_000_000_000, "1 B"), (2_500_000, "2.5 M"), (1_005_000, "1.01 M"),
     (100_000_000, "100 M"), (1_000, "1,000")],
)  # fmt: skip
def test_round(count: Optional[int], expected: Optional[str]) -> None:
    assert ENGLISH.round(count) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(None, None), (0.0, "0.0%"), (0.9999, "99.9%"), (1.0, "100.0%"), (1.0401, "104.0%"), (0.29, "29.0%")],
)
def test_percent(ratio: Optional[float], expected: Optional[str]) -> None:
    """It is never rounded up: a budget of which 99.99 % is used is not used up."""
    assert ENGLISH.percent(ratio) == expected


def test_money() -> None:
    costs = [None, Decimal(0), Decimal("0.004"), Decimal("0.005"), Decimal("1234.565"), 2040.0]
    written = [None, "CNY 0.00", "CNY <0.01", "CNY 0.01", "CNY 1,234.57", "CNY 2,040.00"]
    assert [ENGLISH.money(cost) for cost in costs] == written


def test_small() -> None:
    numbers = [None, 0.0, 0.04, 0.25, 42.0, 1234.0, 10_000.0, 123_456.7]
    assert [ENGLISH.small(number) for number in numbers] == [None, "0", "<0.1", "0.3", "42", "1,234", "10.0 K", "123 K"]


@pytest.mark.parametrize(
    ("ago", "english", "chinese"),
    [
        (0, "0 min", "0 分钟"),
        (HOUR - 1, "59 min", "59 分钟"),
        (HOUR, "1 h", "1 小时"),
        (2 * DAY - 1, "47 h", "47 小时"),
        (2 * DAY, "2 d", "2 天"),
        (-3 * DAY, "3 d", "3 天"),
    ],
)
def test_distance(ago: int, english: str, chinese: str) -> None:
    assert (ENGLISH.distance(NOON - ago), CHINESE.distance(NOON - ago)) == (english, chinese)


def test_times() -> None:
    """Today needs no date."""
    assert [ENGLISH.time(NOON), ENGLISH.time(NOON - 13 * HOUR), CHINESE.time(NOON - 13 * HOUR)] == [
        "12:00", "22 Nov 23:00", "11月22日 23:00",
    ]  # fmt: skip
    assert [ENGLISH.day(NOON), CHINESE.day(NOON)] == ["Mon 23 Nov", "11月23日 周一"]
    assert [ENGLISH.month("2026-01"), CHINESE.month("2026-01")] == ["January 2026", "2026年1月"]


def test_cut_name() -> None:
    """A name is cut by its bytes in HTML, so that no name fills the page."""
    assert cut_name("x" * MAX_NAME) == "x" * MAX_NAME
    assert cut_name("x" * (MAX_NAME + 1)) == "x" * MAX_NAME + "…"
    assert cut_name("模" * 17) == "模" * 16 + "…"
    assert cut_name("&" * 10) == "&" * 9 + "…"


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (0, [0]),
        (1, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (5, [0, 2, 4, 6]),
        (10, [0, 5, 10]),
        (11, [0, 5, 10, 15]),
        (100, [0, 25, 50, 75, 100]),
        (101, [0, 50, 100, 150]),
        (25_845_930, [0, 10_000_000, 20_000_000, 30_000_000]),
    ],
)
def test_scale(largest: int, ticks: Sequence[int]) -> None:
    assert list(scale_of(largest)) == ticks


@pytest.mark.parametrize(("period", "labels"), [("7d", 8), ("today", 10), ("last_month", 8)])
def test_columns(period: str, labels: int) -> None:
    """Columns do not overlap, their boxes stand on each other, and a narrow screen has room for their labels."""
    sample = Sample(period)
    chart = draw_columns(sample.content(), Formats("en", "CNY", sample.tz, sample.now))
    width, lefts = _number(chart.width), [_number(each.left) for each in chart.columns]
    assert all(left + width < after for left, after in zip(lefts, [*lefts[1:], 100]))
    assert sum(not each.is_rare for each in chart.columns) == labels
    limit = chart.scale[-1][1]
    for column in chart.columns:
        bottom = 100.0
        for box in column.boxes:
            bottom -= _number(box.height)
            assert _number(box.y) == pytest.approx(bottom, abs=0.2)
        total = column.usage.total_tokens if column.usage else 0
        assert bottom == pytest.approx(100 - 100 * total / limit, abs=0.2)


def _number(coordinate: str) -> float:
    return float(coordinate.rstrip("%"))


def test_other_tokens() -> None:
    assert other_tokens(Usage(100, 70, 20, 1, 0)) == 10
    assert other_tokens(Usage(100, 100, 0, 1, 0)) == 0
    assert other_tokens(Usage(100, 90, 20, 1, 0)) == 0


@pytest.mark.parametrize(
    ("gaps", "missing"),
    [
        ([Gap(NOON - 3 * HOUR, NOON, 3)], 0),
        ([Gap(NOON - 4 * HOUR, NOON, 4)], 1),
        ([Gap(NOON - 9 * HOUR, NOON - 7 * HOUR, 2), Gap(NOON - HOUR, NOON, 1)], 2),
        ([Gap(NOON - 48 * HOUR, NOON - 24 * HOUR, 5)], 5),
    ],
)
def test_missing_hours(gaps: Sequence[Gap], missing: int) -> None:
    """An hour is missing 3 hours after its end."""
    line = Line(Period("", NOON - 48 * HOUR, NOON, False, 48 * HOUR, 0), (), None, gaps=tuple(gaps))
    assert missing_hours(line, NOON) == missing
    assert missing_hours(line, NOON + HOUR - 1) == missing


def test_missing_hours_of_totals() -> None:
    """A total knows how many hours are due, and how many of them are known."""
    for covered, missing in ((48, 0), (47, 1), (0, 48)):
        line = Line(Period("", NOON - 51 * HOUR, NOON, True, 48 * HOUR, covered * HOUR), (), None)
        assert missing_hours(line, NOON) == missing
