"""Which points of the last cycles `serve` shows as time passes."""

from __future__ import annotations

import pytest

from maas_usage_check.commands.serve.snapshot import Snapshot
from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, CONSUMED, MODEL, USAGE, Point

from ..conftest import FixedClock
from ..fixed_clock import MONDAY

TAGS = {"region": "r"}
AT = int(MONDAY * 1_000_000_000)
HEALTH = {
    "up": 1, "result_code": 0, "queries": 3, "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
}  # fmt: skip
USAGE_POINT, COUNT_POINT = Point(USAGE, TAGS, {"total_tokens": 1}, AT), Point(CONSUMED, TAGS, {"tokens": 1}, AT)
HEALTH_POINT, MINUTE_POINT = Point(API, TAGS, dict(HEALTH), AT), Point(MODEL, TAGS, {"latency_seconds": 1.0}, AT)


@pytest.fixture
def snapshot(clock: FixedClock) -> Snapshot:
    return Snapshot(clock.clock)


def test_overdue_cycle(clock: FixedClock, snapshot: Snapshot) -> None:
    """While a cycle is overdue only counts and `up 0` are shown."""
    snapshot.replace([USAGE_POINT, COUNT_POINT, HEALTH_POINT])
    snapshot.set_deadline(clock.clock.monotonic() + 100)
    clock.at += 100
    assert (snapshot.is_healthy, snapshot.points()) == (True, [USAGE_POINT, COUNT_POINT, HEALTH_POINT])
    clock.at += 1
    assert not snapshot.is_healthy
    health = {
        "up": 0, "result_code": int(Result.TIMED_OUT),
        "last_success_timestamp_seconds": 1, "newest_usage_timestamp_seconds": 2,
    }  # fmt: skip
    assert snapshot.points() == [COUNT_POINT, Point(API, TAGS, health, AT)]
    snapshot.set_deadline(clock.clock.monotonic() + 100)
    assert snapshot.points() == [USAGE_POINT, COUNT_POINT, HEALTH_POINT]


def test_minute_expires(clock: FixedClock, snapshot: Snapshot) -> None:
    """A minute of a model is shown for 16 minutes."""
    snapshot.replace([MINUTE_POINT, HEALTH_POINT])
    clock.at += 16 * 60
    assert snapshot.points() == [MINUTE_POINT, HEALTH_POINT]
    clock.at += 1
    assert snapshot.points() == [HEALTH_POINT]
