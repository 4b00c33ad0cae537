"""What may be shown of the last cycles, by a clock that the test moves."""

from __future__ import annotations

import pytest

from maas_usage_check.commands.serve.snapshot import Latest
from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, CONSUMED, MODEL, USAGE, Point

from ..conftest import FixedClock
from ..fixed_clock import MONDAY

TAGS = {"region": "r"}
AT = int(MONDAY * 1_000_000_000)
HEALTH = {
    "up": 1, "result_code": 0, "queries": 3, "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
}  # fmt: skip
USED, COUNTED = Point(USAGE, TAGS, {"total_tokens": 1}, AT), Point(CONSUMED, TAGS, {"tokens": 1}, AT)
WELL, MINUTE = Point(API, TAGS, dict(HEALTH), AT), Point(MODEL, TAGS, {"latency_seconds": 1.0}, AT)


@pytest.fixture
def shown(clock: FixedClock) -> Latest:
    return Latest(clock.clock)


def test_overdue_cycle_leaves_counts_and_health(clock: FixedClock, shown: Latest) -> None:
    shown.put([USED, COUNTED, WELL])
    shown.expect(clock.clock.monotonic() + 100)
    clock.at += 100
    assert (shown.is_alive, shown.points()) == (True, [USED, COUNTED, WELL])
    clock.at += 1
    assert not shown.is_alive
    health = {
        "up": 0, "result_code": int(Result.TIMED_OUT),
        "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
    }  # fmt: skip
    assert shown.points() == [COUNTED, Point(API, TAGS, health, AT)]
    shown.expect(clock.clock.monotonic() + 100)
    assert shown.points() == [USED, COUNTED, WELL]


def test_a_minute_is_shown_as_now_no_longer_than_it_may(clock: FixedClock, shown: Latest) -> None:
    shown.put([MINUTE, WELL])
    clock.at += 16 * 60
    assert shown.points() == [MINUTE, WELL]
    clock.at += 1
    assert shown.points() == [WELL]
