"""The hours' share of cycles, against the emulator."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any, Dict, Optional

import pytest
from werkzeug import Request, Response

from maas_usage_check.errors import Result
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer, History, give
from maas_usage_check.history import Account as Whose
from maas_usage_check.history.giving import TooLateError
from maas_usage_check.history.tables import open_book
from maas_usage_check.metrics import CONSUMED, HOURLY, KEY_CONSUMED, KEY_HOURLY, USAGE
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.store import Store

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


def test_a_new_run_goes_on_where_the_last_one_ended(account: Account) -> None:
    account.cycle()
    account.sleep(300)
    before = len(account.cloud.seen)
    account.cycle()
    assert len(account.cloud.seen) - before == 1 + 3  # the range, and the last hours


def test_ranges_go_first_and_leave_a_tenth_of_the_rate_to_the_hours(account: Account) -> None:
    batch = account.cycle(ranges=[f"last_{n}d" for n in range(1, 21)], max_requests_per_minute=20)
    assert len(points(batch, USAGE)) == 18
    assert health(batch)["http_requests"] == 20
    assert health(batch)["failed_queries"] == 2
    sent = [body["end_time"] for body in account.cloud.statistics()]
    assert sent[:18] == [account.now] * 18
    assert all((end + 1) % HOUR == 0 for end in sent[18:])


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


def test_increments_that_come_too_late_are_rolled_back(account: Account) -> None:
    collector = account.collector(INCREMENTS)
    collector.cycle()
    account.sleep(6 * 3600)
    account.cycle(HOURS, "other")
    store = Store(lambda: str(account.path))
    history, consumer = History(collector.instance, store), Consumer("one", INCREMENTS)
    with open_book(store, 0) as book:
        (key,) = {name for (name,) in book.run("SELECT name FROM notes WHERE kind = 'AddUp'")}
    whose = Whose(PROJECT_ID, key)
    with pytest.raises(TooLateError):
        give(history, consumer, whose, account.now, {}, True, lambda: False)
    (late,) = give(history, consumer, whose, account.now, {}, True, lambda: True).points
    (again,) = give(history, consumer, whose, account.now, {}, True, lambda: True).points
    assert late.fields["tokens"] > 0
    assert again.fields["tokens"] == 0


def test_a_backfill_is_reported_once_at_its_start_and_once_at_its_end(account: Account) -> None:
    said, missing = [], []
    for _ in range(5):
        batch = account.cycle(backfill_days=3, max_requests_per_minute=32)
        said += [problem.text for problem in batch.problems]
        missing.append(health(batch)["missing_hours"])
        account.sleep(300)
    assert [re.split("[:;]", text.split(": ", 1)[1])[0] for text in said] == [
        "the history of hours begins now, and counts with it at 0",
        "the hours of the past are being asked",
        "the hours of the past are complete",
    ]
    assert f"{missing[0]:,} hours of 1 series" in said[1]
    assert missing == sorted(missing, reverse=True)
    assert missing[-1] == 0


def test_a_label_has_hours_of_its_own_beside_the_whole(account: Account) -> None:
    batch = account.cycle(per_api_key=True, api_keys=["team-search", ""])
    of_labels = points(batch, KEY_HOURLY)
    assert {point.tags["api_key_label"] for point in of_labels} == {"team-search", "online_experience"}
    for point in of_labels:
        label = {"online_experience": ""}.get(point.tags["api_key_label"], point.tags["api_key_label"])
        assert point.fields["total_tokens"] == account.truth(point.time // 1_000_000, api_keys=[label])
    assert {point.time for point in points(batch, HOURLY)} == {point.time for point in of_labels}


def test_counters_begin_with_0_and_grow_by_the_hours(account: Account) -> None:
    def counters() -> Dict[str, int]:
        batch = account.cycle(COUNTERS, per_api_key=True, api_keys=["team-search"])
        assert not points(batch, HOURLY)
        return {point.measurement: int(point.fields["tokens"]) for point in batch.points if "tokens" in point.fields}

    assert counters() == {CONSUMED: 0, KEY_CONSUMED: 0}
    ended = range(account.hour, account.hour + 6 * HOUR, HOUR)
    account.sleep(6 * 3600)
    assert counters() == {
        CONSUMED: sum(map(account.truth, ended)),
        KEY_CONSUMED: sum(account.truth(at, api_keys=["team-search"]) for at in ended),
    }


def test_a_cloud_that_does_not_answer_leaves_counters_and_brings_no_increment(account: Account) -> None:
    account.cycle(COUNTERS)
    account.sleep(6 * 3600)
    account.cycle(INCREMENTS, "agent")
    known = points(account.cycle(COUNTERS), CONSUMED)[0].fields
    account.cloud.always = lambda request: Response(status=503)
    batch = account.cycle(COUNTERS)
    assert health(batch)["up"] == 0
    assert points(batch, CONSUMED)[0].fields == known
    assert not points(account.cycle(INCREMENTS, "agent"), CONSUMED)


@pytest.mark.parametrize("takes", [HOURS, COUNTERS, INCREMENTS])
def test_an_unusable_state_leaves_the_ranges(account: Account, takes: str) -> None:
    account.path.write_text("not a database, but long enough to be taken for one" * 100)
    batch = account.cycle(takes)
    assert [point.measurement for point in batch.points] == [USAGE, "huawei_maas_api"]
    assert any("no hours and no counts" in problem.text for problem in batch.problems)
    assert "missing_hours" not in health(batch)


def test_a_lost_state_brings_the_hours_back_and_begins_the_counts_anew(account: Account) -> None:
    before = points(account.cycle(), HOURLY)
    account.sleep(6 * 3600)
    account.cycle(COUNTERS, "other")
    for path in account.path.parent.glob("state.sqlite*"):
        path.unlink()
    batch = account.cycle()
    assert any("counts with it at 0" in text for text in texts(batch, "I"))
    after = {point.time // 1_000_000: point.fields["total_tokens"] for point in points(batch, HOURLY)}
    assert {point.time // 1_000_000 for point in before if point.time >= min(after) * 1_000_000} <= set(after)
    assert after == {at: account.truth(at) for at in after}
    assert points(account.cycle(COUNTERS, "other"), CONSUMED)[0].fields["tokens"] == 0


@pytest.mark.parametrize("status", [429, 401, 403])
def test_a_refusal_in_the_middle_of_a_backfill_ends_the_asking_but_not_the_cycle(account: Account, status: int) -> None:
    body = b'{"error_code": "APIGW.0301", "error_msg": "verify ak sk signature fail"}'
    if status != 401:
        body = b'{"error_code": "X.1", "error_msg": "policy doesn\'t allow x"}'

    def refuse_the_tenth(request: Request) -> Optional[Response]:
        return Response(body, status, content_type="application/json") if len(account.cloud.seen) > 10 else None

    account.cloud.always = refuse_the_tenth
    batch = account.cycle(max_concurrency=1)
    assert len(account.cloud.seen) == 11
    assert points(batch, USAGE)
    assert points(batch, HOURLY)
    assert health(batch)["result_code"] == Result.PARTIAL
    assert health(batch)["failed_queries"] == 1
    assert len(texts(batch)) == 1
    account.cloud.always = None
    account.sleep(900)
    assert health(account.cycle())["missing_hours"] == 0


def test_a_single_failure_leaves_the_other_hours_alone(account: Account) -> None:
    account.cloud.always = lambda request: Response(b"<html>", 200) if len(account.cloud.seen) == 4 else None
    batch = account.cycle()
    assert health(batch)["failed_queries"] == 1
    assert 0 < health(batch)["missing_hours"] <= 24
    account.sleep(3600)
    assert health(account.cycle())["missing_hours"] == 0


def test_hours_that_do_not_add_up_to_their_day_are_not_emitted(account: Account) -> None:
    truth = account.cloud.emulator.ledger.totals

    def counts_the_next_hour_too(asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        wider = {**asked, "end_time": asked["end_time"] + HOUR}
        return truth(wider if asked["end_time"] - asked["start_time"] < HOUR else asked, now)

    account.cloud.emulator.ledger.totals = counts_the_next_hour_too  # type: ignore[method-assign]
    account.keys["backfill_days"] = 3
    for _ in range(4):
        batch = account.cycle(COUNTERS)
        account.sleep(300)
    assert not points(batch, CONSUMED)
    assert not points(account.cycle(), HOURLY)
    (said,) = texts(batch)
    assert "do not" not in said
    assert "their day has" in said
    asked = len(account.cloud.seen)
    account.cycle()
    assert len(account.cloud.seen) == asked + 1  # the range alone
    account.cloud.emulator.ledger.totals = truth  # type: ignore[method-assign]
    account.sleep(86_400)
    account.cycle()
    account.sleep(300)
    assert points(account.cycle(), HOURLY)


def test_labels_and_keys_are_not_in_the_state(account: Account) -> None:
    account.cycle(api_keys=["very-private-label"])
    with sqlite3.connect(account.path) as connection:
        assert "very-private-label" not in "".join(connection.iterdump())


def test_without_hourly_nothing_of_the_history_is_asked_emitted_or_kept(account: Account) -> None:
    batch = account.cycle(hourly=False)
    assert "missing_hours" not in health(batch)
    assert len(account.cloud.seen) == 1
    with sqlite3.connect(account.path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'hours'").fetchone() is None
