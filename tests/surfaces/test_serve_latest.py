"""What may be shown of the last cycles, by a clock that the test moves."""

from __future__ import annotations

from maas_usage_check.clock import Clock
from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, CONSUMED, MODEL, USAGE, Point
from maas_usage_check.surfaces.serve.latest import Latest

from ..conftest import NOW

TAGS = {"region": "r"}
AT = int(NOW * 1_000_000_000)
HEALTH = {
    "up": 1, "result_code": 0, "queries": 3, "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
}  # fmt: skip
USED, COUNTED = Point(USAGE, TAGS, {"total_tokens": 1}, AT), Point(CONSUMED, TAGS, {"tokens": 1}, AT)
WELL, MINUTE = Point(API, TAGS, dict(HEALTH), AT), Point(MODEL, TAGS, {"latency_seconds": 1.0}, AT)


class Time:
    at = NOW

    def now(self) -> float:
        return self.at


def latest() -> tuple[Latest, Time]:
    time = Time()
    return Latest(Clock(time.now, time.now, lambda seconds: None)), time


def test_nothing_is_ready_until_something_was_put_in() -> None:
    shown, _ = latest()
    assert (shown.is_ready, shown.is_alive, shown.points()) == (False, True, [])
    shown.put([])
    assert shown.is_ready


def test_when_a_cycle_is_overdue_only_counts_are_left_and_health_says_since_when() -> None:
    shown, time = latest()
    shown.put([USED, COUNTED, WELL])
    shown.expect(NOW + 100)
    time.at += 100
    assert (shown.is_alive, shown.points()) == (True, [USED, COUNTED, WELL])
    time.at += 1
    assert not shown.is_alive
    health = {
        "up": 0, "result_code": int(Result.TIMED_OUT),
        "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
    }  # fmt: skip
    assert shown.points() == [COUNTED, Point(API, TAGS, health, AT)]
    shown.expect(time.at + 100)
    assert shown.points() == [USED, COUNTED, WELL]


def test_a_minute_is_shown_as_now_no_longer_than_it_may() -> None:
    shown, time = latest()
    shown.put([MINUTE, WELL])
    time.at += 16 * 60
    assert shown.points() == [MINUTE, WELL]
    time.at += 1
    assert shown.points() == [WELL]
