"""`report --by team` with costs, the prices that days keep, and the budgets of a month."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.group_usage import GroupUsage
from maas_usage_check.commands.report.usage_report import Group
from maas_usage_check.config.model_prices import PricedTokens
from maas_usage_check.config.prices import Price
from maas_usage_check.ledger.known_usage import Span, hour_span

from ..conftest import Cloud
from ..program import only_line
from .conftest import Report, counts, execute_sql, row_cells
from .long_ledger import DAY, HOUR
from .months import AUGUST, LAST_HOUR, NOVEMBER, OCTOBER, PRICES, SEPTEMBER, SHANGHAI, TEAMS, Months, local

NEW_PRICES = [("3.0", "9.0"), ("0.5", "1.5")]
PRICE = Price(Decimal(2_000_000), Decimal(3_000_000))
OLD_PRICE = Price(Decimal(1_000_000), Decimal(1_500_000))
BUDGETS = 'budget: {tokens: 1000000000, cost: 2100.5}\ntags: ["n:1"]'


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    return Months.collected(cloud, report, tmp_path)


def rows_by(name: str, rows: List[Dict[str, str]]) -> Dict[str, Dict[str, str]]:
    return {row[name]: row for row in rows}


@pytest.mark.parametrize(("month", "start", "until"), [("2026-08", AUGUST, SEPTEMBER), ("2026-09", SEPTEMBER, OCTOBER)])
def test_teams(months: Months, month: str, start: int, until: int) -> None:
    """A team's tokens and cost are those of its labels, and the sum over teams is the whole."""
    rows = rows_by("team", months.report.csv("--month", month, "--by", "team"))
    assert list(rows) == [*TEAMS, "unassigned"]
    whole = [months.cost(model, start, until) for model in range(2)]
    for team, labels in TEAMS.items():
        own = [months.tokens(start, until, label) for label in labels]
        assert counts(rows[team]) == [sum(column) for column in zip(*own)]
        assert Decimal(rows[team]["cost"]) == sum(months.cost(model, start, until, labels) for model in range(2))
        assert rows[team]["cost_center"] == ("CC-1" if team == "search" else "unassigned")
    assert tuple(map(sum, zip(*map(counts, rows.values())))) == months.tokens(start, until)
    assert sum(Decimal(row["cost"]) for row in rows.values()) == sum(whole)
    document = months.report.document("--month", month, "--by", "team", "--daily")
    assert document["total"]["cost"] == float(sum(whole))
    assert sum(row["cost"] for row in document["rows"]) == pytest.approx(float(sum(whole)))
    assert months.cloud.requests == []


def test_table_of_teams(months: Months) -> None:
    done = months.report("--month", "2026-10", "--by", "team")
    assert "\nMaaS Usage by Team - Region: cn-southwest-2\n" in done.stdout
    tokens, cost = months.tokens(OCTOBER, NOVEMBER, "team-search"), months.cost(0, OCTOBER, NOVEMBER, ["team-search"])
    cost += months.cost(1, OCTOBER, NOVEMBER, ["team-search"])
    cells = row_cells(done.stdout, "│ search ")
    assert (cells[0], cells[1], cells[4], cells[7]) == (
        "CC-1", f"{tokens[0] / 1e6:.2f} M", f"{tokens[3]:,}", f"{cost:,.2f}",
    )  # fmt: skip
    assert "Cost" not in months.report("--month", "2026-10", "--by", "key").stdout
    for row in months.report.csv("--month", "2026-10", "--by", "key"):
        team = next((name for name, labels in TEAMS.items() if row["api_key_label"] in labels), "unassigned")
        assert row["team"] == team


def test_team_without_named_keys(months: Months) -> None:
    """The cost of a label without a key id in the file counts as unassigned, and a line says so."""
    months.report.yaml = "\n".join(line for line in months.report.yaml.split("\n") if "key_names" not in line)
    rows = rows_by("team", months.report.csv("--month", "2026-09", "--by", "team"))
    assert [rows[team]["cost"] for team in TEAMS] == ["", ""]
    assert Decimal(rows["unassigned"]["cost"]) == sum(months.cost(model, SEPTEMBER, OCTOBER) for model in range(2))
    text = "Labels without a key in `key_names` cost nothing here, but count as unassigned: team-search, team-support"
    assert text in months.report("--month", "2026-09", "--by", "team").stdout


def test_moved_label(months: Months) -> None:
    """History follows the teams of today's file."""
    months.report.yaml = months.report.yaml.replace(
        '"search": {"api_keys": ["team-search"]', '"search": {"api_keys": ["batch-jobs"]'
    )
    months.report.yaml = months.report.yaml.replace('"team-support", "batch-jobs"', '"team-support", "team-search"')
    rows = rows_by("team", months.report.csv("--month", "2026-09", "--by", "team"))
    assert tuple(counts(rows["search"])) == months.tokens(SEPTEMBER, OCTOBER, "batch-jobs")
    assert Decimal(rows["search"]["cost"]) == sum(months.cost(i, SEPTEMBER, OCTOBER, ["batch-jobs"]) for i in range(2))


def test_new_label(months: Months) -> None:
    """The calls of a label that was not collected then count as unassigned, and a line names it."""
    months.report.yaml = months.report.yaml.replace(
        '"team-support", "batch-jobs"', '"team-support", "batch-jobs", "new"'
    )
    rows = rows_by("team", months.report.csv("--month", "2026-09", "--by", "team"))
    assert tuple(map(sum, zip(*map(counts, rows.values())))) == months.tokens(SEPTEMBER, OCTOBER)
    keys = months.report.csv("--month", "2026-09", "--by", "key")
    assert [row["api_key_label"] for row in keys if not row["total_tokens"]] == ["new"]
    done = months.report("--month", "2026-09", "--by", "key")
    assert "\nnew: not collected 2026-09-01 to 2026-09-30; those calls count as Other keys.\n" in done.stdout


def test_missing_hours_of_a_key(months: Months, tmp_path: Path) -> None:
    """A team of which hours of a key are missing has no cost, and neither has the rest."""
    hour = local("2026-10-07T10")
    key = next(key for key, label in months.cloud.emulator.models.key_labels.items() if label == "team-search")
    model = months.cloud.emulator.models.ids()[0]
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ? AND series = ?", hour, months.ledger.id_of(model, key))
    rows = rows_by("team", months.report.csv("--month", "2026-10", "--by", "team"))
    assert [bool(row["cost"]) for row in rows.values()] == [False, True, False]
    done = months.report("--month", "2026-10", "--by", "team")
    assert "\nHours of keys are missing, so the cost is not known of: search.\n" in done.stdout


def test_teams_are_needed(cloud: Cloud, report: Report) -> None:
    line = only_line(report("--by", "team"), 2)
    assert line.startswith("E! --by team: needs `teams` in the --config file")
    assert cloud.requests == []


def test_days_keep_their_price(months: Months) -> None:
    """Days are priced as in their time, hours as in the file now."""
    months.configure(prices=NEW_PRICES)
    kept = local("2026-09-22")
    rows = rows_by("maas_api_id", months.report.csv("--month", "2026-09", "--by", "model"))
    costs = [
        months.cost(model, SEPTEMBER, kept) + months.cost(model, kept, OCTOBER, prices=NEW_PRICES) for model in range(2)
    ]
    assert [Decimal(rows[name]["cost"]) for name in months.cloud.emulator.models.ids()] == costs
    teams = months.report.csv("--month", "2026-09", "--by", "team")
    assert sum(Decimal(row["cost"]) for row in teams) == sum(costs)
    done = months.report("--month", "2026-09", "--by", "model")
    assert "\nThe cost of days whose hours are no longer kept is that at the prices of their time.\n" in done.stdout


def test_day_without_a_price(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """A day that had no price has no cost, whatever the file says now, and a line says how many tokens that are.

    Hours without a price are kept for 63 days.
    """
    months = Months(cloud, report, tmp_path)
    months.configure(prices=PRICES[:1])
    months.ledger.fill(AUGUST, LAST_HOUR)
    report.collect()
    months.configure()
    second = cloud.emulator.models.ids()[1]
    assert rows_by("maas_api_id", report.csv("--month", "2026-08", "--by", "model"))[second]["cost"] == ""
    row = rows_by("maas_api_id", report.csv("--month", "2026-09", "--by", "model"))[second]
    assert Decimal(row["cost"]) == months.cost(1, local("2026-09-21"), OCTOBER)
    assert f" of times without a price ({second})." in report("--month", "2026-09", "--by", "model").stdout


@pytest.mark.parametrize(
    ("price", "of_day", "hour", "expected"),
    [
        (PRICE, [OLD_PRICE], True, (Decimal(15), 0)),
        (PRICE, [OLD_PRICE], False, (Decimal(5), 0)),
        (PRICE, [OLD_PRICE, None], False, (Decimal(5), 4)),
        (PRICE, [], False, (Decimal(0), 0)),
        (PRICE, [None], True, (Decimal(10), 4)),
        (PRICE, [None], False, (None, 4)),
        (None, [OLD_PRICE], True, (Decimal(5), 4)),
        (None, [], False, (None, 0)),
        (None, [None], True, (None, 8)),
    ],
)
def test_cost(price: Optional[Price], of_day: List[Optional[Price]], hour: bool, expected: Any) -> None:
    """Days keep their cost, hours have today's price; without a price nothing has a cost, nor have days without use."""
    day, at = Span(0, DAY, 24), hour_span(DAY)
    spans = {day: Usage(4, 2, 2, 1, 0), **({at: Usage(4, 2, 2, 1, 0)} if hour else {})}
    priced = {day: [PricedTokens(each, 4, 2, 2) for each in of_day], at: [PricedTokens(price, 4, 2, 2)]}
    usage = GroupUsage(Group("a", {}), spans, is_priced=price is not None, priced=priced)
    assert usage.cost(list(spans)) == expected


@pytest.mark.parametrize(("options", "month"), [(["--this-month"], "this_month"), (["--last-month"], "2026-10")])
def test_budgets_of_the_metric(months: Months, options: List[str], month: str) -> None:
    """The report has the fields and tags of the metric, in a table and in JSON."""
    months.report.yaml += BUDGETS
    document = months.report.document(*options)
    tokens, cost = document["budgets"]
    assert [tokens[name] for name in ("scope", "team", "unit", "tags")] == ["all", None, "tokens", "n:1"]
    assert (cost["unit"], cost["limit"]) == ("CNY", 2100.5)
    if month == "this_month":
        done = months.report.program("collect", "--config", months.report.config(), "--format", "json")
        points = [json.loads(line) for line in done.stdout.splitlines()]
        metric = {
            point["tags"]["unit"]: point["fields"] for point in points if point["measurement"] == "huawei_maas_budget"
        }
        for row in (tokens, cost):
            assert metric[row["unit"]] == {name: row[name] for name in metric[row["unit"]]}
            assert {name for name in row if name not in metric[row["unit"]]} == {
                "region", "project_id", "tags", "scope", "team", "unit", "exhausted_timestamp_seconds",
            }  # fmt: skip
    else:
        assert tokens["used"] == months.tokens(OCTOBER, NOVEMBER)[0]
        assert Decimal(str(cost["used"])) == sum(months.cost(model, OCTOBER, NOVEMBER) for model in range(2))
        assert (tokens["forecast"], tokens["forecast_ratio"], tokens["covered_ratio"]) == (None, None, 1.0)


@pytest.mark.parametrize(("month", "start", "until"), [("2026-08", AUGUST, SEPTEMBER), ("2026-10", OCTOBER, NOVEMBER)])
def test_exhausted_budget(months: Months, month: str, start: int, until: int) -> None:
    """A closed month says when its budget was reached: in which hour, or on which day where hours are not kept."""
    hours = range(start, until, HOUR)
    used, limit = 0, 500_000_000
    reached = 0
    for at in hours:
        used += months.tokens(at, at + HOUR)[0]
        if used >= limit:
            reached = at + HOUR
            break
    if month == "2026-08":
        reached = start + -(-(reached - start) // DAY) * DAY
    months.report.yaml += f"budget: {{tokens: {limit}}}"
    (row,) = months.report.document("--month", month)["budgets"]
    assert row["exhausted_timestamp_seconds"] == reached / 1000
    shown = dt.datetime.fromtimestamp(reached / 1000, SHANGHAI)
    cells = row_cells(months.report("--month", month).stdout, "│ all ")
    assert (cells[0], cells[1], cells[4], cells[6]) == ("tokens", "500.00 M", "-", f"{shown:%Y-%m-%d %H:%M}")


def test_budgets_of_teams(months: Months) -> None:
    months.report.yaml = months.report.yaml.replace(
        '"cost_center": "CC-1"', '"cost_center": "CC-1", "budget": {"tokens": 1000}'
    )
    (row,) = months.report.document("--month", "2026-09")["budgets"]
    assert (row["scope"], row["team"], row["limit"]) == ("team", "search", 1000.0)
    assert row["used"] == months.tokens(SEPTEMBER, OCTOBER, "team-search")[0]
    done = months.report("--month", "2026-09")
    assert "\nBudgets of 2026-09\n" in done.stdout
    assert row_cells(done.stdout, "│ search")[0] == "tokens"


@pytest.mark.parametrize("options", [["--last", "7d"], ["--today"], ["--this-month", "--service-type", "1"]])
def test_no_budgets(months: Months, options: List[str]) -> None:
    """Budgets are of the whole of a calendar month."""
    months.report.yaml += BUDGETS
    assert "budgets" not in months.report.document(*options)


def test_budgets_without_a_ledger(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """Nothing is known, so nothing is used: no zero."""
    months = Months(cloud, report, tmp_path)
    months.report.yaml += BUDGETS
    tokens, _ = months.report.document("--this-month")["budgets"]
    assert (tokens["limit"], tokens["used"], tokens["covered_ratio"]) == (1e9, None, 0.0)
