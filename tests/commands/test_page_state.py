"""Whether a page says that its numbers can be believed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, Optional

import pytest

from maas_usage_check.commands.serve.page.collection_state import collection_state
from maas_usage_check.commands.serve.page.content import BudgetRow, CollectionState, LiveModel
from maas_usage_check.commands.serve.page.page_source import budget_rows, instance_name, live_models
from maas_usage_check.config import load_instance
from maas_usage_check.errors import Problem, Result
from maas_usage_check.metrics import API, BUDGET, MODEL, USAGE, Point

from ..conftest import Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
AT_MS = int(MONDAY * 1000)
JANUARY = datetime(2027, 1, 1, tzinfo=timezone.utc).timestamp()
PROBLEMS = [Problem("W", "3 of 18 queries failed", "k")]


def health(**fields: Any) -> Point:
    return Point(API, {}, {"up": 1, "result_code": 0, **fields}, AT_MS * 1_000_000)


@pytest.mark.parametrize(
    ("point", "is_overdue", "status"),
    [
        (None, False, "starting"),
        (None, True, "overdue"),
        (health(), False, "ok"),
        (health(), True, "overdue"),
        (health(result_code=int(Result.PERMISSION_DENIED)), False, "partial"),
        (health(up=0, result_code=int(Result.PERMISSION_DENIED)), False, "failed"),
        (health(up=0), False, "failed"),
        (health(up=0), True, "overdue"),
    ],
)
def test_status(point: Optional[Point], is_overdue: bool, status: str) -> None:
    """A cycle that is late matters more than the result of the one before."""
    points = [Point(USAGE, {}, {}, 0), *([point] if point else [])]
    state = collection_state(points, PROBLEMS, is_overdue)
    assert state == CollectionState(status, AT_MS if point else None, None, None, PROBLEMS)


@pytest.mark.parametrize("missing", [0, 1, 630])
def test_hours(missing: int) -> None:
    """No missing hour is not the same as not known."""
    fields: Dict[str, Any] = {"newest_usage_timestamp_seconds": 1795428000.0, "missing_hours": missing}
    state = collection_state([health(**fields)], (), False)
    assert (state.newest_hour_ms, state.missing_hours) == (1_795_428_000_000, missing)


def test_live_models() -> None:
    """The busiest first; a model without tokens last. Other measurements are not models."""
    rates = {"a": {"tokens_per_minute": 1.0}, "b": {}, "c": {"tokens_per_minute": 2.5}}
    points = [Point(MODEL, {"model": name}, dict(fields), AT_MS * 1_000_000) for name, fields in rates.items()]
    expected = [LiveModel(name, AT_MS, rates[name]) for name in "cab"]
    assert list(live_models([health(), *points, Point(BUDGET, {"unit": "tokens"}, {}, 0)])) == expected


def test_budget_rows() -> None:
    points = [
        Point(BUDGET, {"unit": "tokens", "team": "t"}, {"limit": 1.0}, 0),
        health(),
        Point(BUDGET, {"unit": "CNY"}, {}, 0),
    ]
    assert list(budget_rows(points)) == [BudgetRow("t", "tokens", {"limit": 1.0}), BudgetRow("", "CNY", {})]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({}, "cn-southwest-2"),
        ({"tags": ["env:prod", "team:x"]}, "cn-southwest-2 (env:prod team:x)"),
        ({"project_id": "0" * 32, "tags": ["env:prod"]}, f"cn-southwest-2 (env:prod {'0' * 32})"),
    ],
)
def test_instance_name(keys: Dict[str, Any], name: str) -> None:
    """The project is last: long names are cut."""
    assert instance_name(load_instance(keys, {}, "instances[0]", MONDAY)) == name


def test_minutes_expire(cloud: Cloud, program: Program, clock: FixedClock, access_key: None) -> None:
    """On the page too, a minute of a model is shown for 16 minutes."""
    pages = ServedPages(program, program.cloud_config(cloud, "models: true"), clock.clock)
    pages.complete_cycle([health(), Point(MODEL, {"model": "m"}, {"tokens_per_minute": 1.0}, AT_MS * 1_000_000)])
    clock.at += 16 * 60
    assert [model.name for model in pages.content().live_models] == ["m"]
    clock.at += 1
    assert pages.content().live_models == ()


def test_overdue_cycle(cloud: Cloud, program: Program, clock: FixedClock, access_key: None) -> None:
    """While a cycle is overdue no minutes and budgets are shown, only when the last collection was."""
    pages = ServedPages(program, program.cloud_config(cloud, "hourly: true\nmodels: true"), clock.clock)
    points = [health(newest_usage_timestamp_seconds=7.0, missing_hours=1), Point(BUDGET, {"unit": "tokens"}, {}, 0)]
    pages.complete_cycle(points, PROBLEMS)
    assert pages.content().state == CollectionState("ok", AT_MS, 7000, 1, PROBLEMS)
    pages.snapshot.set_deadline(clock.clock.monotonic() - 1)
    content = pages.content()
    assert content.state == CollectionState("overdue", AT_MS, 7000, None, PROBLEMS)
    assert (content.budgets, content.live_models) == ((), ())


@pytest.mark.parametrize("minutes", [0, 59, 60, 61])
@pytest.mark.parametrize("period", ["today", "this_month"])
def test_beginning_of_a_month(
    cloud: Cloud, program: Program, clock: FixedClock, access_key: None, period: str, minutes: int
) -> None:
    """A period without a complete hour has no day, and is not known."""
    clock.at = JANUARY + 60 * minutes
    config = (
        "hourly: true\nmodels: true\ntimezone: UTC\nprices: {currency: CNY, models: {a: {prompt: 1, completion: 1}}}"
    )
    pages = ServedPages(program, program.cloud_config(cloud, config), clock.clock)
    assert len(pages.content(f"period={period}").period.lines) == (minutes >= 60)
    for path in pages.pages.paths:
        pages.text(path, f"period={period}")
