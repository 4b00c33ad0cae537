"""The hours of a cycle, against the emulator."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Dict

import pytest
from werkzeug import Response

from maas_usage_check.collection import run_cycle
from maas_usage_check.errors import Result
from maas_usage_check.ledger import COUNTERS
from maas_usage_check.metrics import CONSUMED, HOURLY, KEY_HOURLY, USAGE

from ..conftest import Cloud, FixedClock
from .account import DAY, HOUR, Account, Make, health, points, texts


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> Account:
    return Account(cloud, clock, make_collector, tmp_path)


def test_hours(account: Account) -> None:
    """An hour has its own time and the cloud's values; later cycles query only the last hours."""
    batch = account.cycle()
    hours = {point.time // 1_000_000: point.fields for point in points(batch, HOURLY)}
    assert min(hours) == account.hour - DAY
    assert {at: fields["total_tokens"] for at, fields in hours.items()} == {at: account.truth(at) for at in hours}
    settled = set(range(min(hours), account.hour - 3 * HOUR, HOUR))
    assert {at for at, fields in hours.items() if fields["settled"]} == settled
    assert health(batch)["missing_hours"] == 0
    assert health(batch)["newest_usage_timestamp_seconds"] == max(hours) // 1000 + 3600
    _, *queries = account.cloud.statistics()
    assert queries
    assert all(body["start_time"] % HOUR == 0 == (body["end_time"] + 1) % HOUR for body in queries)
    account.sleep(300)
    before = len(account.cloud.requests)
    account.cycle()
    assert len(account.cloud.requests) - before == 1 + 3  # the range, and the last hours


@pytest.mark.parametrize(
    ("rate", "ranges", "hours"), [(1, 1, 0), (2, 1, 1), (3, 2, 1), (3, 1, 1), (20, 20, 0), (20, 8, 10)]
)
def test_ranges_first(account: Account, rate: int, ranges: int, hours: int) -> None:
    """Ranges go first and may use all of the rate; hours take what is left of it, at most half."""
    batch = account.cycle(ranges=[f"last_{n}d" for n in range(1, ranges + 1)], max_requests_per_minute=rate)
    assert len(points(batch, USAGE)) == ranges
    assert (health(batch)["http_requests"], health(batch)["failed_queries"]) == (ranges + hours, 0)
    sent = [body["end_time"] for body in account.cloud.statistics()]
    assert sent[:ranges] == [account.now] * ranges
    assert all((end + 1) % HOUR == 0 for end in sent[ranges:])


def test_ranges_during_a_backfill(account: Account) -> None:
    """A backfill leaves room for the ranges of further cycles within the same minute."""
    collector = account.collector(backfill_days=29, ranges=["last_1d", "last_2d"], max_requests_per_minute=30)
    for _ in range(3):
        batch = run_cycle([collector])[0]
        assert len(points(batch, USAGE)) == 2
        account.sleep(20)
    assert health(batch)["failed_queries"] == 0


def test_series_take_turns(account: Account) -> None:
    """Where the rate allows few requests, the series queried longest ago goes first."""
    labels = [f"label-{n}" for n in range(5)]
    account.keys.update(per_api_key=True, api_keys=labels, ranges=["last_1d"], max_requests_per_minute=10)
    for _ in range(8):
        batch = account.cycle(COUNTERS)
        account.sleep(300)
    hours = [body for body in account.cloud.statistics()[-6 * 10 :] if (body["end_time"] + 1) % HOUR == 0]
    assert {label for body in hours for label in body.get("api_keys", ["whole"])} == {"whole", *labels}
    assert health(batch)["up"] == 1


@pytest.mark.parametrize("status", [429, 401, 403])
def test_refusal_during_a_backfill(account: Account, status: int) -> None:
    """A refusal stops the queries but not the cycle: it emits what it has, and the backfill goes on later."""
    account.cloud.responder = lambda request: Response(b"{}", status) if len(account.cloud.requests) > 10 else None
    batch = account.cycle(max_concurrency=1)
    assert len(account.cloud.requests) == 11
    assert points(batch, USAGE)
    assert points(batch, HOURLY)
    assert health(batch)["result_code"] == Result.PARTIAL
    assert health(batch)["failed_queries"] == 1
    assert len(texts(batch)) == 1
    account.cloud.responder = None
    account.sleep(900)
    assert health(account.cycle())["missing_hours"] == 0


def test_labels(account: Account) -> None:
    """A label has hours of its own beside the whole."""
    batch = account.cycle(per_api_key=True, api_keys=["team-search", ""], max_requests_per_minute=200)
    of_labels = points(batch, KEY_HOURLY)
    assert {point.tags["api_key_label"] for point in of_labels} == {"team-search", "online_experience"}
    for point in of_labels:
        label = {"online_experience": ""}.get(point.tags["api_key_label"], point.tags["api_key_label"])
        assert point.fields["total_tokens"] == account.truth(point.time // 1_000_000, api_keys=[label])
    assert {point.time for point in points(batch, HOURLY)} == {point.time for point in of_labels}


def test_single_failure(account: Account) -> None:
    """A single failure does not affect the other hours."""
    account.cloud.responder = lambda request: Response(b"<html>", 200) if len(account.cloud.requests) == 4 else None
    batch = account.cycle()
    assert health(batch)["failed_queries"] == 1
    assert 0 < health(batch)["missing_hours"] <= 24
    account.sleep(3600)
    assert health(account.cycle())["missing_hours"] == 0


def test_daily_check(account: Account) -> None:
    """Hours that do not add up to their day are not emitted and not counted, until they do."""
    truth = account.cloud.emulator.usage.totals

    def include_next_hour(query: Dict[str, Any], now: int) -> Dict[str, Any]:
        wider = {**query, "end_time": query["end_time"] + HOUR}
        return truth(wider if query["end_time"] - query["start_time"] < HOUR else query, now)

    account.cloud.emulator.usage.totals = include_next_hour  # type: ignore[method-assign]
    account.keys["backfill_days"] = 3
    for _ in range(4):
        batch = account.cycle(COUNTERS)
        account.sleep(300)
    assert [point.fields["tokens"] for point in points(batch, CONSUMED)] == [0]
    assert not points(account.cycle(), HOURLY)
    assert health(batch)["result_code"] == Result.PARTIAL
    (text,) = texts(batch)
    assert "their day has" in text
    requests = len(account.cloud.requests)
    account.cycle()
    assert len(account.cloud.requests) == requests + 1  # the range alone
    account.cloud.emulator.usage.totals = truth  # type: ignore[method-assign]
    account.sleep(3600)
    account.cycle()
    account.sleep(300)
    assert points(account.cycle(), HOURLY)


def test_private_labels(account: Account) -> None:
    """Labels are not in the state."""
    account.cycle(api_keys=["very-private-label"])
    with sqlite3.connect(account.path) as connection:
        assert "very-private-label" not in "".join(connection.iterdump())
