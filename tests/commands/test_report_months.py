"""`report` of months: from the ledger's hours and days, against the emulator's own hours."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.commands.report.coverage import find_gaps, format_covered
from maas_usage_check.commands.report.periods import format_span
from maas_usage_check.ledger.known_usage import Span

from ..conftest import Cloud, FixedClock
from ..program import only_line
from .conftest import Report, ZoneInfo, counts, first_column, parse_csv, row_cells
from .long_ledger import DAY, HOUR
from .months import AUGUST, DECEMBER, LAST_HOUR, NOVEMBER, NOW, OCTOBER, SEPTEMBER, Months, local


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    """A ledger since August 2026, whose hours begin on 2026-09-22."""
    months = Months(cloud, report, tmp_path)
    months.ledger.fill(local("2026-08-01"), LAST_HOUR)
    report.collect()
    return months


@pytest.mark.parametrize(
    ("options", "start", "until"),
    [
        (["--month", "2026-08"], AUGUST, SEPTEMBER),
        (["--month", "2026-09"], SEPTEMBER, OCTOBER),
        (["--month", "2026-10"], OCTOBER, NOVEMBER),
        (["--last-month"], OCTOBER, NOVEMBER),
        (["--from", "2026-08-20", "--to", "2026-10-03"], local("2026-08-20"), local("2026-10-03")),
    ],
)
def test_months(months: Months, options: List[str], start: int, until: int) -> None:
    """A month of days, one of days and hours, and one of hours are the cloud's to the token, and cost no query."""
    (row,) = months.report.csv(*options)
    assert tuple(counts(row)) == months.tokens(start, until)
    assert row["covered_ratio"] == "1.0"
    assert [local(row[name][:19]) for name in ("start", "end")] == [start, until]
    assert sum(counts(each)[0] for each in months.report.csv(*options, "--daily")) == counts(row)[0]
    assert months.cloud.requests == []


def test_days(months: Months) -> None:
    """Rows of a month that lies half in hours and half in days are those of its days."""
    rows = months.report.csv("--month", "2026-09", "--daily")
    assert [row["period"] for row in rows] == [f"2026-09-{day:02}" for day in range(1, 31)]
    for i, row in enumerate(rows):
        assert tuple(counts(row)) == months.tokens(SEPTEMBER + i * DAY, SEPTEMBER + (i + 1) * DAY)
        assert (row["partial"], row["covered_ratio"]) == ("false", "1.0")


def test_boundary_of_hours_and_days(months: Months) -> None:
    """Days begin to be kept as days 62 days after their end, and their hours are gone."""
    document = months.report.document("--month", "2026-09", "--hourly")
    known = [row for row in document["rows"] if row["total_tokens"] is not None]
    assert known[0]["start"] == "2026-09-22T00:00:00+08:00"
    assert len(known) == 9 * 24
    done = months.report("--month", "2026-09", "--hourly")
    assert "\nBy day only: 2026-09-01 to 2026-09-21 (hours are kept for 62 days); use --daily.\n" in done.stdout
    line = only_line(months.report("--month", "2026-08", "--hourly"), 1)
    assert line == ("E! cn-southwest-2: the hours of 2026-08 are kept only as days (hours for 62 days); use --daily")


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ("--month 2026-12", 2, "E! --month: 2026-12 has not begun; choose a month of the past"),
        ("--month 2025-09", 2, "E! --month: 2025-09 is more than 13 months ago: usage is kept from 2025-10-16 on; "),
        ("--month 2026-13", 2, "E! --month: must be a month, such as 2026-10; see"),
        ("--month 202610", 2, "E! --month: must be a month, such as 2026-10; see"),
        ("--month 0000-01", 2, "E! --month: must be a month, such as 2026-10; see"),
        ("--month \uff12026-10", 2, "E! --month: must be a month, such as 2026-10; see"),
        ("--month 2025-10", 1, "E! cn-southwest-2: no hour of 2025-10 is known: hours can be queried for 29 days"),
        ("--month 2026-10 --last 7d", 2, "E! --last: not allowed with argument --month"),
        ("--last 7d --compare --hourly", 2, "E! --compare: cannot be combined with --hourly; use --daily"),
        ("--last 7d --compare --raw", 2, "E! --raw: shows the answer about one window"),
        ("--by team --api-keys a", 2, "E! --api-keys: cannot be combined with --by team"),
    ],
)
def test_wrong_options(months: Months, typed: str, code: int, words: str) -> None:
    assert only_line(months.report(*typed.split()), code).startswith(words)
    assert months.cloud.requests == []


def test_month_of_the_zone(cloud: Cloud, clock: FixedClock, report: Report, tmp_path: Path) -> None:
    """It is already the next month in Shanghai."""
    months = Months(cloud, report, tmp_path)
    clock.at = (DECEMBER + HOUR) / 1000
    months.ledger.fill(OCTOBER, DECEMBER - 5 * HOUR)
    assert report.csv("--last-month", "--by", "model")[0]["start"] == "2026-11-01T00:00:00+08:00"
    assert only_line(report("--month", "2027-01"), 2).startswith("E! --month: 2027-01 has not begun")
    months.configure("UTC")
    assert report.csv("--last-month", "--by", "model")[0]["start"] == "2026-10-01T00:00:00+00:00"
    assert only_line(report("--month", "2026-12"), 2).startswith("E! --month: 2026-12 has not begun")


def test_last_90_days(months: Months) -> None:
    """A range that reaches past the 30 days of the cloud is read in the ledger; only its last hours are queried."""
    done = months.report("--last", "90d")
    assert "\nPeriod: 2026-08-25 21:00:00 ~ 2026-11-23 20:00:00 (CST), in whole hours of UTC\n" in done.stdout
    assert "\ncovered 99.8 %: 2026-08-25 21:00 to 2026-08-26 00:00 not known\n" in done.stdout
    assert "\nNot counted: 2026-08-25: kept as whole days, which reach beyond the period.\n" in done.stdout
    assert all(body["start_time"] >= LAST_HOUR for body in months.cloud.statistics())
    months.cloud.requests.clear()
    (row,) = months.report.csv("--last", "30d")
    assert row["start"] == "2026-10-24T20:30:00+08:00"
    assert len(months.cloud.statistics()) == 2, "the cloud itself is asked"


def test_raw(months: Months) -> None:
    """--raw shows the cloud's own answer, about the part that it still has."""
    done = months.report("--last-month", "--raw")
    assert "\nPeriod: 2026-10-24 20:30:00 ~ 2026-11-01 00:00:00 (CST) - part of the range\n" in done.stdout
    assert "total_request_count" in done.stdout
    assert "W! last_month: reaches past the 30 days that the cloud keeps; the numbers cover 23.1% of it" in done.stderr


def test_without_hours(cloud: Cloud, report: Report) -> None:
    """An instance without `hourly` has no history: the cloud is asked about the part that it still keeps."""
    (row,) = report.csv("--last-month")
    assert (row["period"], row["start"], row["end"]) == (
        "last_month", "2026-10-24T12:30:00+00:00", "2026-11-01T00:00:00+00:00",
    )  # fmt: skip
    assert float(row["covered_ratio"]) == pytest.approx(7.479 / 31, rel=1e-3)
    line = only_line(report("--month", "2026-09"), 1)
    assert line.startswith("W! cn-southwest-2: no values for 2026-09")


def test_lost_state(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """Days before the state began are named, have no numbers, and do not count as zeros."""
    months = Months(cloud, report, tmp_path)
    began = local("2026-10-20")
    months.ledger.fill(began, LAST_HOUR)
    report.collect("--format", "prometheus")
    done = report("--month", "2026-10")
    assert "\ncovered 38.7 %: 2026-10-01 to 2026-10-19 not known\n" in done.stdout
    assert done.stderr == ""
    assert row_cells(done.stdout, "Total Requests") == [f"{months.tokens(began, NOVEMBER)[3]:,}"]
    daily = report("--month", "2026-10", "--daily", "--format", "csv")
    assert daily.stderr == "W! 2026-10: covered 38.7 %: 2026-10-01 to 2026-10-19 not known\n"
    rows = parse_csv(daily.stdout)
    assert [row["total_tokens"] for row in rows[:19]] == [""] * 19
    assert [row["covered_ratio"] for row in rows[18:20]] == ["0.0", "1.0"]


def test_gaps(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """Unknown hours, and hours of a day that is kept as a day, are named; the rest counts."""
    months = Months(cloud, report, tmp_path)
    unknown = [range(*map(local, each)) for each in (
        ("2026-09-03T10", "2026-09-03T12"), ("2026-09-24T05", "2026-09-24T06"), ("2026-09-26T22", "2026-09-28T03"),
    )]  # fmt: skip
    months.ledger.fill(AUGUST, LAST_HOUR, lambda at: not any(at in each for each in unknown))
    report.collect()
    done = report("--month", "2026-09")
    times = "2 h of 2026-09-03, 2026-09-24 05:00 to 06:00, 2026-09-26 22:00 to 2026-09-28 03:00"
    assert f"\ncovered 95.5 %: {times} not known\n" in done.stdout
    (row,) = report.csv("--month", "2026-09")
    missing = [months.tokens(each.start, each.stop) for each in unknown]
    assert counts(row) == [whole - sum(parts) for whole, *parts in zip(months.tokens(SEPTEMBER, OCTOBER), *missing)]
    assert float(row["covered_ratio"]) == 688 / 720
    daily = report("--month", "2026-09", "--daily").stdout
    assert {"2026-09-03 (22 of 24 h)", "2026-09-24 (23 of 24 h)"} < set(first_column(daily))
    assert row_cells(daily, "│ 2026-09-27")[0] == "-"


def test_almost_all_is_not_all() -> None:
    assert [format_covered(each) for each in (1.0, 0.99999, 0.9321, 0.0004, 0.0)] == [
        "100.0 %", "99.9 %", "93.2 %", "0.0 %", "0.0 %",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "start", "until", "text"),
    [
        ("UTC", "2026-10-01", "2026-10-04", "2026-10-01 to 2026-10-03"),
        ("UTC", "2026-10-01", "2026-10-02", "2026-10-01"),
        ("UTC", "2026-10-01T01", "2026-10-02", "2026-10-01 01:00 to 2026-10-02 00:00"),
        ("UTC", "2026-10-01", "2026-10-01T23", "2026-10-01 00:00 to 23:00"),
        ("Asia/Kolkata", "2026-10-01T00:30", "2026-10-03T00:30", "2026-10-01 to 2026-10-02"),
        ("Europe/Berlin", "2026-10-25", "2026-10-26", "2026-10-25"),
    ],
)
def test_format_span(zone: str, start: str, until: str, text: str) -> None:
    tz = ZoneInfo(zone)
    assert format_span(local(start, tz), local(until, tz), tz) == text


def test_find_gaps() -> None:
    known = [Span(2 * HOUR, 3 * HOUR), Span(4 * HOUR, 9 * HOUR, 3), Span(9 * HOUR, 10 * HOUR)]
    assert list(find_gaps(0, 11 * HOUR, known)) == [
        (0, 2 * HOUR, 2), (3 * HOUR, 4 * HOUR, 1), (4 * HOUR, 9 * HOUR, 2), (10 * HOUR, 11 * HOUR, 1),
    ]  # fmt: skip
    assert list(find_gaps(2 * HOUR, 3 * HOUR, known[:1])) == []


def test_zone_changes(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """A day of another zone that fits into no month and no day is not counted there, and the report says where."""
    months = Months(cloud, report, tmp_path)
    months.configure("UTC")
    months.ledger.fill(AUGUST, LAST_HOUR)
    months.ledger.compact(local("2026-08-11", dt.timezone.utc) + 62 * DAY + HOUR)
    months.configure()
    months.ledger.compact(NOW)
    done = report("--from", "2026-08-05", "--to", "2026-09-01")
    fits = local("2026-08-05T08")
    assert "\ncovered 98.7 %: 2026-08-05 00:00 to 08:00 not known\n" in done.stdout
    times = "2026-08-04 08:00 to 2026-08-05 08:00"
    assert f"\nNot counted: {times}: kept as whole days, which reach beyond the period.\n" in done.stdout
    (row,) = report.csv("--from", "2026-08-05", "--to", "2026-09-01")
    assert tuple(counts(row)) == months.tokens(fits, SEPTEMBER)
    daily = report("--from", "2026-08-05", "--to", "2026-09-01", "--daily")
    times = "2026-08-05 08:00 to 2026-08-11 08:00"
    assert f"\nOnly in the total: {times}: kept as days of another time zone, in no row.\n" in daily.stdout
    rows = report.csv("--from", "2026-08-05", "--to", "2026-09-01", "--daily")
    assert [row["total_tokens"] for row in rows[:6]] == [""] * 6
    # The day of the change begins where the last one of the other zone ended.
    assert tuple(counts(rows[6])) == months.tokens(local("2026-08-11T08"), local("2026-08-12"))
    assert rows[6]["covered_ratio"] == str(16 / 24)


@pytest.mark.parametrize(
    ("zone", "now", "month", "hours"),
    [
        ("Europe/Berlin", "2026-12-28T12", "2026-10", 745),
        ("Europe/Berlin", "2026-11-23T12", "2026-10", 745),
        ("Europe/Berlin", "2026-06-30T12", "2026-03", 743),
        ("Asia/Kolkata", "2026-12-28T12", "2026-10", 744),
        ("Asia/Shanghai", "2028-05-10T12", "2028-02", 696),
        ("Asia/Shanghai", "2028-03-10T12", "2028-02", 696),
    ],
)
def test_lengths_of_months(
    cloud: Cloud, clock: FixedClock, report: Report, tmp_path: Path, zone: str, now: str, month: str, hours: int
) -> None:
    """A month with a change of the clocks, or with a leap day, has all its hours, kept as hours or as days."""
    months, tz = Months(cloud, report, tmp_path), ZoneInfo(zone)
    months.configure(zone)
    clock.at = local(now, tz) / 1000
    start = -(-local(f"{month}-01", tz) // HOUR) * HOUR
    months.ledger.fill(start - DAY, start + (hours + 24) * HOUR)
    months.ledger.compact(local(now, tz))
    (row,) = report.csv("--month", month, "--by", "key", "--daily")[:1]
    assert row["start"][:10] == f"{month}-01"
    rows = report.csv("--month", month, "--by", "team")
    assert {each["covered_ratio"] for each in rows} == {"1.0"}
    assert tuple(map(sum, zip(*map(counts, rows)))) == months.tokens(start, start + hours * HOUR)


@pytest.mark.parametrize(("later", "is_kept"), [(-1, True), (0, True), (1, False)])
def test_thirteen_months(
    cloud: Cloud, clock: FixedClock, report: Report, tmp_path: Path, later: int, is_kept: bool
) -> None:
    """The last hour of a month can be reported for 403 days."""
    months = Months(cloud, report, tmp_path)
    clock.at = (NOVEMBER + 403 * DAY) / 1000 + later - 1
    done = report("--month", "2026-10")
    assert (done.returncode, "more than 13 months ago" in done.stderr) == ((1, False) if is_kept else (2, True))
    assert months.report is report
