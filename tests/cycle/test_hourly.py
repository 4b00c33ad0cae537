"""The hours' share of cycles, over real HTTP against the emulator, whose clock is moved with the collector's."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any, Dict, List

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

from ..conftest import NOW, Cloud
from .account import Account, Make, health, points

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.fixture
def account(cloud: Cloud, make_collector: Make, tmp_path: Path) -> Account:
    return Account(cloud, make_collector, tmp_path)


def test_each_hour_comes_at_its_own_time_with_the_clouds_numbers(account: Account) -> None:
    batch = account.collector().cycle()
    hours = {point.time // 1_000_000: point.fields for point in points(batch, HOURLY)}
    now = int(NOW * 1000)
    assert min(hours) == now // HOUR * HOUR - DAY
    assert {at: fields["total_tokens"] for at, fields in hours.items()} == {at: account.truth(at) for at in hours}
    assert {at for at, fields in hours.items() if fields["settled"]} == set(range(min(hours), now - 3 * HOUR, HOUR))
    assert health(batch)["missing_hours"] == 0
    assert health(batch)["newest_usage_timestamp_seconds"] == max(hours) // 1000 + 3600


def test_windows_begin_at_full_hours_and_end_a_millisecond_before_the_next(account: Account) -> None:
    account.collector().cycle()
    windows = [(body["start_time"], body["end_time"]) for body in account.cloud.statistics()][1:]
    assert windows
    assert all(start % HOUR == 0 and (end + 1) % HOUR == 0 for start, end in windows)


def test_a_new_run_goes_on_where_the_last_one_ended(account: Account) -> None:
    account.collector().cycle()
    account.seconds += 300
    before = len(account.cloud.seen)
    account.collector().cycle()
    assert len(account.cloud.seen) - before == 1 + 3  # the range, and the last hours


def test_ranges_go_first_and_leave_a_tenth_of_the_rate_to_the_hours(account: Account) -> None:
    ranges = [f"last_{n}d" for n in range(1, 21)]
    batch = account.collector(ranges=ranges, max_requests_per_minute=20).cycle()
    assert len(points(batch, USAGE)) == 18
    assert health(batch)["http_requests"] == 20
    assert health(batch)["failed_queries"] == 2
    sent = [body["end_time"] for body in account.cloud.statistics()]
    assert sent[:18] == [int(NOW * 1000)] * 18
    assert all((end + 1) % HOUR == 0 for end in sent[18:])


def test_hours_leave_room_for_the_ranges_of_a_cycle_within_the_minute(account: Account) -> None:
    collector = account.collector(backfill_days=29, ranges=["last_1d", "last_2d"], max_requests_per_minute=30)
    for _ in range(3):
        batch = collector.cycle()
        assert len(points(batch, USAGE)) == 2
        account.seconds += 20
    assert health(batch)["failed_queries"] == 0


def test_series_take_turns_where_the_rate_lets_few_calls_through(account: Account) -> None:
    labels = [f"label-{n}" for n in range(20)]
    for number in range(12):
        batch = account.collector(
            COUNTERS, per_api_key=True, api_keys=labels, ranges=["last_1d"], max_requests_per_minute=32
        ).cycle()
        account.seconds += 300 if number < 11 else 0
    asked = {
        tuple(body.get("api_keys", ["whole"]))
        for body in account.cloud.statistics()[-8 * 32 :]
        if (body["end_time"] + 1) % HOUR == 0
    }
    assert len(asked) == 21
    assert health(batch)["up"] == 1


def test_what_is_given_out_too_late_is_as_if_it_had_not_been(account: Account) -> None:
    collector = account.collector(INCREMENTS)
    collector.cycle()
    account.seconds += 6 * 3600
    account.collector(HOURS, "other").cycle()
    store = Store(lambda: str(account.path))
    history, consumer = History(collector.instance, store), Consumer("one", INCREMENTS)
    with open_book(store, 0) as book:
        (key,) = {name for (name,) in book.run("SELECT name FROM notes WHERE kind = 'AddUp'")}
    now, whose = int(account.clock.now() * 1000), Whose(PROJECT_ID, key)
    with pytest.raises(TooLateError):
        give(history, consumer, whose, now, {}, True, lambda: False)
    (late,) = give(history, consumer, whose, now, {}, True, lambda: True).points
    (again,) = give(history, consumer, whose, now, {}, True, lambda: True).points
    assert late.fields["tokens"] > 0
    assert again.fields["tokens"] == 0


def test_a_backfill_is_told_once_at_its_start_and_once_at_its_end(account: Account) -> None:
    said, missing = [], []
    for _ in range(6):
        batch = account.collector(backfill_days=10, max_requests_per_minute=80).cycle()
        said += [problem.text for problem in batch.problems]
        missing.append(health(batch)["missing_hours"])
        account.seconds += 300
    assert [re.split("[:;]", text.split(": ", 1)[1])[0] for text in said] == [
        "the history of hours begins now, and counts with it at 0",
        "the hours of the past are being asked",
        "the hours of the past are complete",
    ]
    assert f"{missing[0]:,} hours of 1 series" in said[1]
    assert missing == sorted(missing, reverse=True)
    assert missing[-1] == 0


def test_a_label_has_hours_of_its_own_beside_the_whole(account: Account) -> None:
    batch = account.collector(per_api_key=True, api_keys=["team-search", ""]).cycle()
    hours = {point.time // 1_000_000 for point in points(batch, KEY_HOURLY)}
    assert {point.tags["api_key_label"] for point in points(batch, KEY_HOURLY)} == {"team-search", "online_experience"}
    for point in points(batch, KEY_HOURLY):
        label = {"online_experience": ""}.get(point.tags["api_key_label"], point.tags["api_key_label"])
        assert point.fields["total_tokens"] == account.truth(point.time // 1_000_000, api_keys=[label])
    assert {point.time // 1_000_000 for point in points(batch, HOURLY)} == hours


def test_counters_begin_with_0_and_grow_by_the_hours(account: Account) -> None:
    def counters() -> Dict[str, int]:
        batch = account.collector(COUNTERS, per_api_key=True, api_keys=["team-search"]).cycle()
        assert not points(batch, HOURLY)
        return {point.measurement: int(point.fields["tokens"]) for point in batch.points if "tokens" in point.fields}

    assert counters() == {CONSUMED: 0, KEY_CONSUMED: 0}
    account.seconds += 6 * 3600
    start = int(NOW * 1000) // HOUR * HOUR
    ended = range(start, start + 6 * HOUR, HOUR)
    assert counters() == {
        CONSUMED: sum(map(account.truth, ended)),
        KEY_CONSUMED: sum(account.truth(at, api_keys=["team-search"]) for at in ended),
    }


def test_counters_come_out_also_when_the_cloud_does_not_answer(account: Account) -> None:
    account.collector(COUNTERS).cycle()
    account.seconds += 6 * 3600
    known = points(account.collector(COUNTERS).cycle(), CONSUMED)[0].fields
    account.cloud.always = lambda request: Response(status=503)
    batch = account.collector(COUNTERS).cycle()
    assert health(batch)["up"] == 0
    assert points(batch, CONSUMED)[0].fields == known


def test_an_agent_gets_no_zero_from_a_cycle_in_which_the_cloud_did_not_answer(account: Account) -> None:
    account.collector(INCREMENTS).cycle()
    account.cloud.always = lambda request: Response(status=503)
    assert not points(account.collector(INCREMENTS).cycle(), CONSUMED)


def test_without_a_state_that_can_be_written_there_are_ranges_but_no_hours_and_no_counts(account: Account) -> None:
    account.path.write_text("not a database, but long enough to be taken for one" * 100)
    for takes in (HOURS, COUNTERS, INCREMENTS):
        batch = account.collector(takes).cycle()
        assert [point.measurement for point in batch.points] == [USAGE, "huawei_maas_api"]
        assert any("no hours and no counts" in problem.text for problem in batch.problems)
        assert "missing_hours" not in health(batch)


def test_a_lost_state_brings_the_hours_back_and_begins_the_counts_anew(account: Account) -> None:
    before = points(account.collector().cycle(), HOURLY)
    account.seconds += 6 * 3600
    account.collector(COUNTERS, "other").cycle()
    for path in account.path.parent.glob("state.sqlite*"):
        path.unlink()
    batch = account.collector().cycle()
    assert [problem.level for problem in batch.problems if "counts with it at 0" in problem.text] == ["I"]
    after = {point.time: point.fields for point in points(batch, HOURLY)}
    assert {point.time for point in before if point.time >= min(after)} <= set(after)
    assert {time: fields["total_tokens"] for time, fields in after.items()} == {
        time: account.truth(time // 1_000_000) for time in after
    }
    assert points(account.collector(COUNTERS, "other").cycle(), CONSUMED)[0].fields["tokens"] == 0


@pytest.mark.parametrize(
    ("status", "result"), [(429, Result.THROTTLED), (401, Result.KEY_REFUSED), (403, Result.PERMISSION_DENIED)]
)
def test_a_refusal_in_the_middle_of_a_backfill_ends_the_asking_but_not_the_cycle(
    account: Account, status: int, result: Result
) -> None:
    body = b'{"error_code": "APIGW.0301", "error_msg": "verify ak sk signature fail"}'
    if status != 401:
        body = b'{"error_code": "X.1", "error_msg": "policy doesn\'t allow x"}'

    def refuse_the_tenth(request: Request) -> Any:
        return Response(body, status, content_type="application/json") if len(account.cloud.seen) > 10 else None

    account.cloud.always = refuse_the_tenth
    batch = account.collector(max_concurrency=1).cycle()
    assert len(account.cloud.seen) == 11
    assert points(batch, USAGE)
    assert points(batch, HOURLY)
    assert health(batch)["result_code"] == Result.PARTIAL
    assert health(batch)["failed_queries"] == 1
    assert len([problem for problem in batch.problems if problem.level == "W"]) == 1
    account.cloud.always = None
    account.seconds += 900
    batch = account.collector().cycle()
    assert health(batch)["missing_hours"] == 0


def test_a_single_failure_leaves_the_other_hours_alone(account: Account) -> None:
    def fail_once(request: Request) -> Any:
        return Response(b"<html>", 200) if len(account.cloud.seen) == 4 else None

    account.cloud.always = fail_once
    batch = account.collector().cycle()
    assert health(batch)["failed_queries"] == 1
    assert 0 < health(batch)["missing_hours"] <= 24
    account.seconds += 3600
    assert health(account.collector().cycle())["missing_hours"] == 0


def test_hours_that_do_not_add_up_to_their_day_are_not_given_out(account: Account) -> None:
    truth = account.cloud.emulator.ledger.totals

    def counts_the_next_hour_too(asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        wider = {**asked, "end_time": asked["end_time"] + HOUR}
        return truth(wider if asked["end_time"] - asked["start_time"] < HOUR else asked, now)

    account.cloud.emulator.ledger.totals = counts_the_next_hour_too  # type: ignore[method-assign]
    said: List[str] = []
    for _ in range(6):
        batch = account.collector(COUNTERS, backfill_days=4).cycle()
        said = [problem.text for problem in batch.problems if problem.level == "W"]
        account.seconds += 300
    assert not points(batch, CONSUMED)
    assert not points(account.collector().cycle(), HOURLY)
    assert len(said) == 1
    assert "do not" not in said[0]
    assert "their day has" in said[0]
    asked = len(account.cloud.seen)
    account.collector().cycle()
    assert len(account.cloud.seen) == asked + 1  # the range alone
    account.cloud.emulator.ledger.totals = truth  # type: ignore[method-assign]
    account.seconds += 86_400
    account.collector().cycle()
    account.seconds += 300
    assert points(account.collector().cycle(), HOURLY)


def test_labels_and_keys_are_not_in_the_state(account: Account) -> None:
    account.collector(api_keys=["very-private-label"]).cycle()
    with sqlite3.connect(account.path) as connection:
        assert "very-private-label" not in "".join(connection.iterdump())


def test_without_hourly_nothing_of_the_history_is_asked_given_or_kept(account: Account) -> None:
    batch = account.collector(hourly=False).cycle()
    assert "missing_hours" not in health(batch)
    assert len(account.cloud.seen) == 1
    with sqlite3.connect(account.path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'hours'").fetchone() is None
