"""`report --compare`: the period before, and the change where all hours of both are known."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, List, Optional, Tuple

import pytest

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.asked_period import Month, previous_hours
from maas_usage_check.commands.report.usage_report import Line, Period, Row
from maas_usage_check.config.ranges import Window, parse_range

from ..conftest import Cloud
from ..program import only_line
from .conftest import Report, ZoneInfo, counts, execute_sql, first_column, parse_csv, row_cells, table_lines
from .long_ledger import DAY, HOUR
from .months import NOVEMBER, OCTOBER, SEPTEMBER, Months, local


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    return Months.collected(cloud, report, tmp_path)


DATES, TIMES = (
    parse_range({"name": "x", "from": start, "to": until})
    for start, until in (("2026-10-25", "2026-10-27"), ("2026-10-25T06:00:00", "2026-10-25T09:00:00"))
)


@pytest.mark.parametrize(
    ("zone", "asked", "now", "before"),
    [
        ("Asia/Shanghai", Month("2026-10"), ("2026-10-01", "2026-11-01"), ("2026-09-01", "2026-10-01")),
        ("Asia/Shanghai", Month("2026-09"), ("2026-09-01", "2026-10-01"), ("2026-08-01", "2026-09-01")),
        ("Asia/Shanghai", Month("2028-03"), ("2028-03-01", "2028-04-01"), ("2028-02-01", "2028-03-01")),
        ("Asia/Kolkata", Month(""), ("2026-10-01T01", "2026-11-01T00:30"), ("2026-09-01T00:30", "2026-10-01T00:30")),
        ("UTC", parse_range("this_month"), ("2026-11-01", "2026-11-23T09"), ("2026-10-01", "2026-10-23T09")),
        ("UTC", parse_range("this_month"), ("2026-10-01", "2026-10-31T09"), ("2026-09-01", "2026-10-01")),
        ("UTC", parse_range("this_month"), ("2026-03-01", "2026-03-29"), ("2026-02-01", "2026-03-01")),
        ("UTC", parse_range("this_month"), ("2028-03-01", "2028-03-29"), ("2028-02-01", "2028-02-29")),
        ("Europe/Berlin", parse_range("this_month"), ("2026-11-01", "2026-11-23T09"), ("2026-10-01", "2026-10-23T09")),
        ("UTC", parse_range("last_7d"), ("2026-11-16T13", "2026-11-23T09"), ("2026-11-09T13", "2026-11-16T09")),
        ("UTC", parse_range("last_24h"), ("2026-11-22T13", "2026-11-23T09"), ("2026-11-21T13", "2026-11-22T09")),
        ("UTC", parse_range("today"), ("2026-11-23", "2026-11-23T09"), ("2026-11-22", "2026-11-22T09")),
        ("Europe/Berlin", parse_range("today"), ("2026-10-26", "2026-10-26T09"), ("2026-10-25", "2026-10-25T09")),
        ("Europe/Berlin", parse_range("yesterday"), ("2026-10-25", "2026-10-26"), ("2026-10-24", "2026-10-25")),
        ("Europe/Berlin", DATES, ("2026-10-25", "2026-10-27"), ("2026-10-23", "2026-10-25")),
        ("UTC", TIMES, ("2026-10-25T06", "2026-10-25T09"), ("2026-10-25T03", "2026-10-25T06")),
    ],
)  # fmt: skip
def test_previous_hours(zone: str, asked: Any, now: Tuple[str, str], before: Tuple[str, str]) -> None:
    """A closed month is compared with the one before, a running period with the same days and hours."""
    tz = ZoneInfo(zone)
    (start, end), expected = (local(each, tz) for each in now), Window(*(local(each, tz) for each in before))
    assert previous_hours(asked, Window(start, end), tz) == expected


def row(after: Optional[int], before: Optional[int], covered: int = 1, covered_before: int = 1) -> Row:
    usages = [None if tokens is None else Usage(tokens, 0, 0, 0, 0) for tokens in (after, before)]
    lines = [
        Line(Period("", 0, HOUR, False, HOUR, hours * HOUR), (usage,), usage, (Decimal(2),), Decimal(2))
        for hours, usage in zip((covered, covered_before), usages)
    ]
    return Line(lines[0].period, (usages[0],), usages[0], (Decimal(3),), Decimal(3), previous=lines[1]).total_row


@pytest.mark.parametrize(
    ("shown", "change"),
    [
        (row(150, 100), 0.5),
        (row(0, 100), -1.0),
        (row(100, 0), None),
        (row(0, 0), None),
        (row(None, 100), None),
        (row(100, None), None),
        (row(150, 100, covered=0), None),
        (row(150, 100, covered_before=0), None),
    ],
)
def test_change(shown: Row, change: Optional[float]) -> None:
    """A change needs something before, and all hours of both periods."""
    assert shown.change == change
    assert shown.cost_change == (0.5 if shown.is_comparable else None)


def test_months(months: Months) -> None:
    """Each row has its use in the month before, in days or hours, and the change."""
    before, after = (SEPTEMBER, OCTOBER), (OCTOBER, NOVEMBER)
    document = months.report.document("--last-month", "--by", "team", "--compare")
    for name, labels in (("search", ["team-search"]), ("support", ["team-support", "batch-jobs"])):
        (shown,) = [each for each in document["rows"] if each["team"] == name]
        used = [sum(months.tokens(*each, label)[0] for label in labels) for each in (before, after)]
        costs = [sum(months.cost(model, *each, labels) for model in range(2)) for each in (before, after)]
        assert (shown["previous_total_tokens"], shown["total_tokens"]) == tuple(used)
        assert shown["change_ratio"] == pytest.approx(used[1] / used[0] - 1)
        assert shown["previous_cost"] == float(costs[0])
        assert shown["cost_change_ratio"] == pytest.approx(float(costs[1] / costs[0] - 1))
        assert [shown[name] for name in ("previous_start", "previous_end", "previous_covered_ratio")] == [
            "2026-09-01T00:00:00+08:00", "2026-10-01T00:00:00+08:00", 1.0,
        ]  # fmt: skip
    total = document["total"]
    assert document["previous_covered_ratio"] == 1.0
    assert total["previous_total_tokens"] == months.tokens(*before)[0]
    assert total["change_ratio"] == pytest.approx(months.tokens(*after)[0] / months.tokens(*before)[0] - 1)
    rows = months.report.csv("--last-month", "--by", "team", "--compare")
    assert [each["change_ratio"] for each in rows] == [str(each["change_ratio"]) for each in document["rows"]]


def test_running_month(months: Months) -> None:
    """A running month ends with the newest final hour, so that hours to come do not look like a fall."""
    done = months.report("--this-month", "--compare")
    assert "\nPeriod: 2026-11-01 00:00:00 ~ 2026-11-23 17:00:00 (CST), in whole hours of UTC - part" in done.stdout
    assert (
        "\nBefore: 2026-10-01 00:00:00 ~ 2026-10-23 17:00:00 (CST); 545 hours are compared with 545.\n" in done.stdout
    )
    after, before = (months.tokens(start, start + 545 * HOUR)[0] for start in (NOVEMBER, OCTOBER))
    assert row_cells(done.stdout, "│ Total  ")[-2:] == [f"{before / 1e6:.2f} M", f"{after / before - 1:+.1%}"]
    assert months.cloud.requests == []


def test_days(months: Months) -> None:
    """The first day is compared with the first of the month before; the 31st has none."""
    rows = months.report.csv("--last-month", "--daily", "--compare")
    for i, shown in enumerate(rows[:30]):
        used = months.tokens(SEPTEMBER + i * DAY, SEPTEMBER + (i + 1) * DAY)
        assert int(shown["previous_total_tokens"]) == used[0]
        assert float(shown["change_ratio"]) == pytest.approx(counts(shown)[0] / used[0] - 1)
    assert [rows[30][name] for name in ("previous_start", "previous_total_tokens", "change_ratio")] == ["", "", ""]
    done = months.report("--last-month", "--daily", "--compare")
    assert row_cells(done.stdout, "│ 2026-10-31")[-3:-1] == ["-", "-"]
    assert first_column(done.stdout)[-1] == "2026-10-31"


@pytest.mark.parametrize("month", ["2026-09", "2026-10"])
def test_missing_hours(months: Months, tmp_path: Path, month: str) -> None:
    """Without an hour in either month there is no change of the whole, and lines say why."""
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", local(f"{month}-25T10"))
    done = months.report("--last-month", "--compare")
    assert row_cells(done.stdout, "│ Total")[-1] == "-"
    assert f"covered 99.8 %: {month}-25 10:00 to 11:00 not known\n" in done.stdout
    assert "\nNo change in percent: it needs all hours of both periods" in done.stdout
    rows = parse_csv(months.report("--last-month", "--compare", "--daily", "--format", "csv").stdout)
    assert [i + 1 for i, shown in enumerate(rows) if not shown["change_ratio"]] == [25, 31]


def test_no_final_hour(months: Months) -> None:
    line = only_line(months.report("--last", "3h", "--compare"), 1)
    assert line.startswith(
        "E! cn-southwest-2: last_3h contains no final UTC hour of the last 13 months: choose another"
    )


def test_unknown_period_before(months: Months) -> None:
    done = months.report("--month", "2026-08", "--compare")
    assert row_cells(done.stdout, "│ Total")[-2:] == ["-", "-"]
    assert "\nBefore: covered 0.0 %: 2026-07-01 to 2026-07-31 not known\n" in done.stdout


@pytest.mark.parametrize("options", [[], ["--by", "team"], ["--by", "model"], ["--daily"]])
def test_narrow_terminal(months: Months, options: List[str]) -> None:
    """A narrow terminal shows every digit."""
    options = ["--last-month", "--compare", *options]
    plain, shown = months.report(*options).stdout, months.report.on_terminal(100, *options)
    table_lines(shown, 100)
    for cell in row_cells(plain, "│ Total"):
        assert cell in shown
