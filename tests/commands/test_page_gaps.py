"""A page never shows what is not known as zero, nor a part as the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.commands.serve.page.content import PageContent, Total
from maas_usage_check.commands.serve.page.missing_hours import missing_hours
from maas_usage_check.config import load_file
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import ConfigError

from ..conftest import Cloud, FixedClock
from .conftest import Report, execute_sql, true_usage
from .months import HOUR, LAST_HOUR, NOW, THIS_HOUR, TODAY, local
from .served_pages import ServedPages, access_key, values

__all__ = ["access_key"]
Show = Callable[..., PageContent]
KINDS = ("real_time", "batch")
PLAIN = "hourly: true\nbackfill_days: 2\nmax_requests_per_minute: 80000\ntimezone: Asia/Shanghai\n"


@pytest.fixture
def show(report: Report, clock: FixedClock, access_key: None) -> Show:
    return lambda query="": ServedPages(report.program, report.config(), clock.clock).content(query)


@pytest.fixture
def collected(cloud: Cloud, report: Report, tmp_path: Path) -> Report:
    """Return two days of hours, of service types."""
    report.yaml = f"{PLAIN}state_dir: {tmp_path}\n"
    report.collect()
    return report


def missing_of(total: Total) -> List[int]:
    lines = [total.usage, *([total.cost] if total.cost else [])]
    return [missing_hours(line, NOW) for line in lines]


@pytest.mark.parametrize("missing", [TODAY, LAST_HOUR - HOUR])
def test_gap_today(collected: Report, show: Show, tmp_path: Path, missing: int) -> None:
    """An hour that is due and missing makes its day incomplete, though later hours that are not due yet are known."""
    assert missing_of(show().today) == [0]
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", missing)
    content = show()
    assert missing_of(content.today) == [1]
    before, after = (true_usage(collected.cloud, *each) for each in ((TODAY, missing), (missing + HOUR, THIS_HOUR)))
    expected = [sum(each) for each in zip(*filter(None, (before, after)))]
    assert values(content.today.usage.total) == values(content.period.lines[-1].total) == expected
    assert content.period.lines[-1].period.is_incomplete
    assert dict(content.hours)[missing] is None


@pytest.mark.parametrize("late", [LAST_HOUR, LAST_HOUR + HOUR, THIS_HOUR - HOUR])
def test_late_hour(collected: Report, show: Show, tmp_path: Path, late: int) -> None:
    """An hour that the cloud may report later is not missing."""
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", late)
    content = show()
    assert missing_of(content.today) == [0]
    assert dict(content.hours)[late] is None


def test_first_hours_of_a_day(cloud: Cloud, collected: Report, show: Show, clock: FixedClock) -> None:
    """Until the cloud has use in the first hour of a day, it is not known; nor is it missing."""
    midnight = local("2026-11-24")
    for hours, until in ((0, None), (1, None), (2, midnight + HOUR), (3, midnight + 2 * HOUR)):
        clock.at = (midnight + hours * HOUR + HOUR // 2) / 1000
        collected.collect()
        today = show().today.usage
        assert values(today.total) == (until and true_usage(cloud, midnight, until))
        assert missing_hours(today, int(clock.at * 1000)) == 0


def test_settled_zero(cloud: Cloud, collected: Report, show: Show, tmp_path: Path) -> None:
    """An hour without use is 0 once it is settled, not before."""
    zeros = "total_tokens = 0, prompt_tokens = 0, completion_tokens = 0, requests = 0, errors = 0"
    execute_sql(tmp_path, f"UPDATE hours SET {zeros} WHERE start >= ?", TODAY)
    content = show()
    for at, usage in content.hours:
        if at >= TODAY:
            assert values(usage) == ([0] * 5 if at < LAST_HOUR else None)
    assert values(content.today.usage.total) == [0] * 5
    execute_sql(tmp_path, "DELETE FROM hours WHERE start >= ? AND start < ?", TODAY, LAST_HOUR)
    content = show()
    assert content.today.usage.total is None
    assert missing_of(content.today) == [(LAST_HOUR - TODAY) // HOUR]


def test_use_before_it_settles(collected: Report, show: Show, tmp_path: Path) -> None:
    """The newest hours are known in which the cloud has any use, if only a failed request."""
    zeros = "total_tokens = 0, prompt_tokens = 0, completion_tokens = 0, requests = 0"
    execute_sql(tmp_path, f"UPDATE hours SET {zeros}, errors = 1 WHERE start = ?", LAST_HOUR)
    assert values(dict(show().hours)[LAST_HOUR]) == [0, 0, 0, 0, 1]


def test_services(cloud: Cloud, report: Report, show: Show, tmp_path: Path) -> None:
    """Several service types, and batch inference, are added up and shown as groups; an hour unknown of one is."""
    types = "service_types: [preset, custom_endpoint]\ninfer_types: [real_time, batch]\n"
    report.yaml = f"{PLAIN}{types}state_dir: {tmp_path}\n"
    report.collect()
    content = show("period=today")
    (services,) = content.groups
    assert (services.by, len(services.groups)) == ("service", 4)
    every = [true_usage(cloud, TODAY, LAST_HOUR, [number], infer_type=kind) for number in (2, 4) for kind in KINDS]
    expected = [sum(each) for each in zip(*every)]
    settled = [usage for at, usage in content.hours if at < LAST_HOUR]
    assert [sum(each) for each in zip(*(values(usage) or [] for usage in settled))] == expected
    groups = [true_usage(cloud, TODAY, THIS_HOUR, [number], infer_type=kind) for number in (2, 4) for kind in KINDS]
    assert sorted(values(usage) or [] for usage in services.whole.usages) == sorted(groups)
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ? AND series = 1", TODAY)
    content = show("period=today")
    assert dict(content.hours)[TODAY] is None
    assert missing_of(content.today) == [1]


def test_unknown_label(cloud: Cloud, collected: Report, show: Show, tmp_path: Path) -> None:
    """Where no hour of a label is known, its use and the rest are not known, but that of all calls together is."""
    collected.yaml += "teams: {search: {api_keys: [team-search]}, support: {api_keys: [team-support]}}\n"
    collected.collect()
    series = Statistics().hour_series(load_file(collected.config(), cloud.emulator.now())[0], PROJECT_ID)
    (name,) = [each.name for each in series if each.tags.get("api_key_label") == "team-search"]
    execute_sql(tmp_path, "DELETE FROM hours WHERE series = (SELECT id FROM series WHERE name = ?)", name)
    content = show("period=today")
    teams, _ = content.groups
    shown = {group.title: usage for group, usage in zip(teams.groups, teams.whole.usages)}
    assert (shown["search"], shown["unassigned"]) == (None, None)
    assert values(shown["support"]) == true_usage(cloud, TODAY, THIS_HOUR, labels=["team-support"])
    assert values(content.today.usage.total) == true_usage(cloud, TODAY, THIS_HOUR)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("period=2025-09", "period: 2025-09 is more than 13 months ago: usage is kept from 2025-10-16 on; choose"),
        ("period=2026-12", "period: 2026-12 has not begun; choose a month of the past"),
        ("by=team", "by: this instance has no teams: it has service"),
        ("by=key", "by: this instance has no keys: it has service"),
        ("by=model", "by: this instance has no models: it has service"),
    ],
)
def test_not_there(collected: Report, show: Show, query: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        show(query)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize("query", ["", "period=2025-10", "period=2026-11"])
def test_plain_instance(report: Report, show: Show, tmp_path: Path, query: str) -> None:
    """An instance without hours and models has a page, on which nothing is known but its ranges' health."""
    report.yaml = f"state_dir: {tmp_path}\n"
    report.collect()
    content = show(query)
    assert content.today.usage.total is None
    assert {line.total for line in content.period.lines} == {None}
    assert (content.groups, content.today.cost, content.currency) == ((), None, "")
    assert content.months[-1] == "2025-10"
