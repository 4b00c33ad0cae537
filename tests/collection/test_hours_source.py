"""The hours' share of cycles, against the emulator."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Dict

import pytest
from werkzeug import Response

from maas_usage_check.errors import Result
from maas_usage_check.ledger import COUNTERS
from maas_usage_check.metrics import CONSUMED, HOURLY, KEY_HOURLY, USAGE

from ..conftest import Cloud, FixedClock
from .account import DAY, HOUR, Account, Make, health, points, texts


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> Account:
    return Account(cloud, clock, make_collector, tmp_path)


def test_hours_at_their_own_time(account: Account) -> None:
    batch = account.cycle()
    hours = {point.time // 1_000_000: point.fields for point in points(batch, HOURLY)}
    assert min(hours) == account.hour - DAY
    assert {at: fields["total_tokens"] for at, fields in hours.items()} == {at: account.truth(at) for at in hours}
    settled = set(range(min(hours), account.hour - 3 * HOUR, HOUR))
    assert {at for at, fields in hours.items() if fields["settled"]} == settled
    assert health(batch)["missing_hours"] == 0
    assert health(batch)["newest_usage_timestamp_seconds"] == max(hours) // 1000 + 3600
    _, *asked = account.cloud.statistics()
    assert asked
    assert all(body["start_time"] % HOUR == 0 == (body["end_time"] + 1) % HOUR for body in asked)
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


def test_hours_leave_room_for_the_ranges_of_a_cycle_within_the_minute(account: Account) -> None:
    collector = account.collector(backfill_days=29, ranges=["last_1d", "last_2d"], max_requests_per_minute=30)
    for _ in range(3):
        batch = collector.cycle()
        assert len(points(batch, USAGE)) == 2
        account.sleep(20)
    assert health(batch)["failed_queries"] == 0


def test_series_take_turns_where_the_rate_lets_few_calls_through(account: Account) -> None:
    labels = [f"label-{n}" for n in range(5)]
    account.keys.update(per_api_key=True, api_keys=labels, ranges=["last_1d"], max_requests_per_minute=10)
    for _ in range(8):
        batch = account.cycle(COUNTERS)
        account.sleep(300)
    hours = [body for body in account.cloud.statistics()[-6 * 10 :] if (body["end_time"] + 1) % HOUR == 0]
    assert {label for body in hours for label in body.get("api_keys", ["whole"])} == {"whole", *labels}
    assert health(batch)["up"] == 1


@pytest.mark.parametrize("status", [429, 401, 403])
def test_a_refusal_in_the_middle_of_a_backfill_ends_the_asking_but_not_the_cycle(account: Account, status: int) -> None:
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


def test_a_label_has_hours_of_its_own_beside_the_whole(account: Account) -> None:
    batch = account.cycle(per_api_key=True, api_keys=["team-search", ""], max_requests_per_minute=200)
    of_labels = points(batch, KEY_HOURLY)
    assert {point.tags["api_key_label"] for point in of_labels} == {"team-search", "online_experience"}
    for point in of_labels:
        label = {"online_experience": ""}.get(point.tags["api_key_label"], point.tags["api_key_label"])
        assert point.fields["total_tokens"] == account.truth(point.time // 1_000_000, api_keys=[label])
    assert {point.time for point in points(batch, HOURLY)} == {point.time for point in of_labels}


def test_a_single_failure_leaves_the_other_hours_alone(account: Account) -> None:
    account.cloud.responder = lambda request: Response(b"<html>", 200) if len(account.cloud.requests) == 4 else None
    batch = account.cycle()
    assert health(batch)["failed_queries"] == 1
    assert 0 < health(batch)["missing_hours"] <= 24
    account.sleep(3600)
    assert health(account.cycle())["missing_hours"] == 0


def test_hours_that_do_not_add_up_to_their_day_are_not_emitted(account: Account) -> None:
    truth = account.cloud.emulator.usage.totals

    def counts_the_next_hour_too(asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        wider = {**asked, "end_time": asked["end_time"] + HOUR}
        return truth(wider if asked["end_time"] - asked["start_time"] < HOUR else asked, now)

    account.cloud.emulator.usage.totals = counts_the_next_hour_too  # type: ignore[method-assign]
    account.keys["backfill_days"] = 3
    for _ in range(4):
        batch = account.cycle(COUNTERS)
        account.sleep(300)
    assert [point.fields["tokens"] for point in points(batch, CONSUMED)] == [0]
    assert not points(account.cycle(), HOURLY)
    assert health(batch)["result_code"] == Result.PARTIAL
    (said,) = texts(batch)
    assert "their day has" in said
    asked = len(account.cloud.requests)
    account.cycle()
    assert len(account.cloud.requests) == asked + 1  # the range alone
    account.cloud.emulator.usage.totals = truth  # type: ignore[method-assign]
    account.sleep(3600)
    account.cycle()
    account.sleep(300)
    assert points(account.cycle(), HOURLY)


def test_labels_and_keys_are_not_in_the_state(account: Account) -> None:
    account.cycle(api_keys=["very-private-label"])
    with sqlite3.connect(account.path) as connection:
        assert "very-private-label" not in "".join(connection.iterdump())
