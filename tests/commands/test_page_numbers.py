"""The numbers of a page equal the cloud's hours; what is not known is None."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import pytest

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.serve.page.content import PageContent
from maas_usage_check.config.ranges import Window
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.ledger.month_budgets import read_budgets

from ..conftest import Cloud, FixedClock
from .conftest import Report, delete_state, execute_sql, true_usage
from .months import DECEMBER, HOUR, LAST_HOUR, NOVEMBER, NOW, OCTOBER, SEPTEMBER, TEAMS, THIS_HOUR, TODAY, Months
from .served_pages import ServedPages, access_key, values

__all__ = ["access_key"]
BUDGET = "budget: {tokens: 1000000000, cost: 5000}"
Show = Callable[..., PageContent]


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path, access_key: None) -> Months:
    """Return a ledger since August whose newest hours were collected half an hour ago."""
    return Months.collected(cloud, report, tmp_path)


@pytest.fixture
def show(months: Months, clock: FixedClock) -> Show:
    def show(query: str = "") -> PageContent:
        """Read a page; nothing is sent to the cloud."""
        months.cloud.requests.clear()
        content = ServedPages(months.report.program, months.report.config(), clock.clock).content(query)
        assert not months.cloud.requests
        return content

    return show


def usage(months: Months, start: int, until: int) -> List[int]:
    """Add up the hours as the cloud reported them when it was asked: not all of the newest ones are final."""
    middle = max(start, min(until, LAST_HOUR))
    final = months.tokens(start, middle) if start < middle else [0] * 5
    return [sum(each) for each in zip(final, true_usage(months.cloud, middle, until) or [0] * 5)]


def cost_now(months: Months, start: int, until: int) -> Decimal:
    """Price the models' hours as the cloud reports them now."""
    return sum((months.cost(model, start, until) for model in (0, 1)), Decimal(0))


def test_today(months: Months, show: Show) -> None:
    """All hours in which the cloud has use, also those that may still change."""
    today = show().today
    assert values(today.usage.total) == true_usage(months.cloud, TODAY, THIS_HOUR)
    assert true_usage(months.cloud, LAST_HOUR, THIS_HOUR)[0] > 0
    assert today.cost
    assert today.cost.total_cost == cost_now(months, TODAY, THIS_HOUR)


def test_this_month(months: Months, show: Show) -> None:
    """It equals what budgets count as used."""
    months.configure(more=BUDGET)
    month = show().month
    assert values(month.usage.total) == true_usage(months.cloud, NOVEMBER, THIS_HOUR)
    assert month.cost
    assert month.cost.total_cost == cost_now(months, NOVEMBER, THIS_HOUR)
    store = months.ledger._store
    budgets = read_budgets(store, months.ledger.instance, PROJECT_ID, Window(NOVEMBER, DECEMBER), NOW)
    used = {budget.kind: status.used for budget, status in budgets}
    assert month.usage.total
    assert used == {"tokens": month.usage.total.total_tokens, "cost": month.cost.total_cost}


def test_comparison(months: Months, show: Show) -> None:
    """Up to 3 hours ago, with the same days and hours of the last month."""
    comparison = show().comparison
    for line, start, until in ((comparison.usage, NOVEMBER, LAST_HOUR), (comparison.usage.previous, OCTOBER, 0)):
        assert line
        until = until or OCTOBER + LAST_HOUR - NOVEMBER
        assert (line.period.start, line.period.end) == (start, until)
        assert values(line.total) == list(months.tokens(start, until))
    assert comparison.cost
    assert comparison.cost.previous
    assert comparison.cost.total_cost == cost_now(months, NOVEMBER, LAST_HOUR)
    assert comparison.cost.previous.total_cost == cost_now(months, OCTOBER, OCTOBER + LAST_HOUR - NOVEMBER)
    assert comparison.usage.is_comparable
    assert comparison.cost.is_comparable


def test_comparable(months: Months, show: Show, tmp_path: Path) -> None:
    """One missing hour in either month would look like a fall or a rise; one beside both windows does not matter."""
    previous_end = OCTOBER + LAST_HOUR - NOVEMBER
    within = (NOVEMBER, LAST_HOUR - HOUR, OCTOBER, previous_end - HOUR)
    for missing in (*within, NOVEMBER - HOUR, LAST_HOUR, OCTOBER - HOUR, previous_end):
        execute_sql(tmp_path, "UPDATE hours SET start = -start WHERE start = ?", missing)
        comparison = show().comparison
        assert comparison.cost
        assert {comparison.usage.is_comparable, comparison.cost.is_comparable} == {missing not in within}
        execute_sql(tmp_path, "UPDATE hours SET start = -start WHERE start = ?", -missing)


def test_days(months: Months, show: Show) -> None:
    """Each day, and all of them, with their cost; and each hour."""
    for query, count in (("", 8), ("period=this_month", 23), ("period=last_month", 31), ("period=2026-10", 31)):
        content = show(query)
        lines = content.period.lines
        assert len(lines) == len(content.day_costs) == count
        for line, cost in zip(lines, content.day_costs):
            start, end = line.period.start, line.period.end
            assert values(line.total) == usage(months, start, end)
            assert cost == cost_now(months, start, end)
        start, end = lines[0].period.start, lines[-1].period.end
        assert values(content.period.whole.total) == usage(months, start, end)
        assert [at for at, _ in content.hours] == list(range(start, end, HOUR))
        for at, known in content.hours:
            assert values(known) == (usage(months, at, at + HOUR) if at < THIS_HOUR - HOUR else None)


def test_old_month(months: Months, show: Show) -> None:
    """Of a month whose hours are gone, the days remain, with their cost; no hour is known."""
    content = show("period=2026-08")
    assert len(content.period.lines) == 31
    for line, cost in zip(content.period.lines, content.day_costs):
        assert values(line.total) == list(months.tokens(line.period.start, line.period.end))
        assert cost == cost_now(months, line.period.start, line.period.end)
    assert {found for _, found in content.hours} == {None}


def test_days_and_hours(months: Months, show: Show) -> None:
    """Hours older than 62 days are kept as days: a month may have both."""
    content = show("period=2026-09")
    known = [at for at, found in content.hours if found is not None]
    assert known == list(range(SEPTEMBER + 21 * 24 * HOUR, OCTOBER, HOUR))
    assert values(content.period.whole.total) == list(months.tokens(SEPTEMBER, OCTOBER))


def test_groups(months: Months, show: Show) -> None:
    """Teams, keys and models of the whole period, the largest first and the rest last, with their cost."""
    content = show("period=last_month")
    assert [report.by for report in content.groups] == ["team", "key", "model"]
    teams, keys, models = content.groups
    assert [group.title for group in teams.groups] == ["search", "support", "unassigned"]
    assert [group.title for group in keys.groups] == ["team-search", "team-support", "batch-jobs", "Other keys"]
    period = (OCTOBER, NOVEMBER)
    labels: Sequence[Sequence[str]] = [*TEAMS.values(), *([label] for group in TEAMS.values() for label in group)]
    for group_labels, found, cost in zip(
        labels, (*teams.whole.usages[:-1], *keys.whole.usages[:-1]), (*teams.whole.costs[:-1], *keys.whole.costs[:-1])
    ):
        expected = [months.tokens(*period, label) for label in group_labels]
        assert values(found) == [sum(each) for each in zip(*expected)]
        assert cost == sum((months.cost(model, *period, group_labels) for model in (0, 1)), Decimal(0))
    for report in (teams, keys):
        assert values(report.whole.total) == list(months.tokens(*period))
        assert report.whole.total_cost == cost_now(months, *period) == sum(filter(None, report.whole.costs))
        assert report.whole.usages[-1] == rest_of(report.whole.total, report.whole.usages[:-1])
    assert models.whole.costs == (months.cost(0, *period), months.cost(1, *period))


def rest_of(whole: Optional[Usage], parts: Sequence[Optional[Usage]]) -> Usage:
    every = [values(whole), *map(values, parts)]
    assert None not in every
    total, *others = (each for each in every if each)
    return Usage(*(total[i] - sum(other[i] for other in others) for i in range(5)))


def test_same_as_report(months: Months, show: Show) -> None:
    """By each group, the numbers of the whole period are those of `report`."""
    for by in ("team", "key", "model", "service"):
        document = months.report.document("--last-month", "--by", by)
        (shown,) = show(f"period=last_month&by={by}").groups
        rows = sorted(document["rows"], key=lambda row: -row["total_tokens"])
        assert sorted(filter(None, map(values, shown.whole.usages)), reverse=True) == [
            [row[name] for name in ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")]
            for row in rows
        ]
        if by in ("team", "model"):
            costs = {row[by]: row["cost"] for row in rows}
            assert {group.title: float(cost or 0) for group, cost in zip(shown.groups, shown.whole.costs)} == costs


def test_no_state(cloud: Cloud, months: Months, show: Show, tmp_path: Path) -> None:
    """Without a state nothing is known, and none is created."""
    delete_state(tmp_path)
    for query in ("", "period=today", "period=last_month", "period=2026-08"):
        content = show(query)
        totals = (content.today, content.month, content.comparison)
        assert [(each.usage.total, each.cost and each.cost.total_cost) for each in totals] == [(None, None)] * 3
        assert {line.total for line in (*content.period.lines, content.period.whole)} == {None}
        assert {*content.day_costs, *(found for _, found in content.hours)} == {None}
        assert {each for report in content.groups for each in (*report.whole.usages, *report.whole.costs)} <= {None}
    assert list(tmp_path.glob("*.sqlite3*")) == []


def test_failed_daily_check(months: Months, show: Show, tmp_path: Path) -> None:
    """While the hours of the key do not add up to their day, no usage is shown."""
    execute_sql(tmp_path, "UPDATE entries SET value = ? WHERE kind = 'AddUp'", json.dumps({"failed": "numbers differ"}))
    content = show()
    assert [each.usage.total for each in (content.today, content.month, content.comparison)] == [None] * 3
    assert {line.total for line in (*content.period.lines, content.period.whole)} == {None}
    assert {found for _, found in content.hours} == {None}
    assert {each for report in content.groups[:2] for each in report.whole.usages} == {None}
