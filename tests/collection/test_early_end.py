"""Cycles that end before their work has: SIGTERM, the deadline, and what hangs meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List

import pytest
from werkzeug import Response

from maas_usage_check.cloud import Credentials
from maas_usage_check.collection import SOURCES, SourceEntry, run_cycle
from maas_usage_check.collection.cycle import Cycle
from maas_usage_check.collection.run import EMIT_S
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.ledger import COUNTERS, INCREMENTS, CycleEnd
from maas_usage_check.metrics import API, CONSUMED, HOURLY, MODEL, USAGE
from maas_usage_check.watchdog import HUNG_S, STATE_STOP_S, hung_threads

from ..conftest import AK, SK, Cloud, FixedClock, wait_for
from .account import HOUR, Account, Make, health, points, texts
from .conftest import Hang

RANGES = ["last_1h", "last_2h", "last_9h"]


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> Account:
    account = Account(cloud, clock, make_collector, tmp_path)
    account.keys.update(max_concurrency=1)
    return account


def hang_at(cloud: Cloud, number: int, hang: Hang) -> None:
    """Let the response to one of the next requests hang."""
    number += len(cloud.requests)
    cloud.responder = lambda request: hang() if len(cloud.requests) == number else None


def wait_for_threads(clock: FixedClock) -> None:
    wait_for(lambda: not hung_threads(clock.clock.monotonic() + HUNG_S + 1), "the threads that were left behind")


def test_sigterm_during_a_range(cloud: Cloud, clock: FixedClock, make_collector: Make, hang: Hang) -> None:
    """SIGTERM ends the cycle at once, with what is complete."""
    collector = make_collector(cloud.entry(ranges=RANGES, max_concurrency=1))
    hang.on_call = collector.cancel
    hang_at(cloud, 3, hang)
    batch = run_cycle([collector])[0]
    assert [point.tags["range"] for point in points(batch, USAGE)] == RANGES[:2]
    assert (batch.result, health(batch)["duration_seconds"]) == (Result.PARTIAL, 0)
    assert [text.partition(": ")[2] for text in texts(batch)] == [
        "the cycle was ended by a signal (no values for last_9h preset)"
    ]


def test_sigterm_while_credentials_hang(cloud: Cloud, clock: FixedClock, make_collector: Make, hang: Hang) -> None:
    """Nothing is sent, and the line names the signal, not the network."""
    collector = make_collector(cloud.entry(ranges=RANGES), provider=hang)
    hang.on_call = collector.cancel
    batch = run_cycle([collector])[0]
    assert batch.result == Result.TIMED_OUT
    assert "the cycle was ended by a signal" in texts(batch, "E")[0]
    hang.release.set()
    wait_for_threads(clock)
    assert cloud.requests == []


def test_sigterm_during_a_backfill(account: Account, hang: Hang) -> None:
    """The known hours are emitted, the others in the next cycle; hours that were not queried are no failure."""
    collector = account.collector()
    hang.on_call = collector.cancel
    hang_at(account.cloud, 10, hang)
    batch = run_cycle([collector])[0]
    assert points(batch, USAGE)
    assert (batch.result, health(batch)["failed_queries"]) == (Result.OK, 0)
    assert 0 < health(batch)["missing_hours"] < 24
    assert points(batch, HOURLY)
    hang.release.set()
    wait_for_threads(account.clock)
    first, second = account.cycle(), account.cycle(name="new")
    assert health(first)["missing_hours"] == 0
    assert points(first, HOURLY) == points(second, HOURLY)


@pytest.mark.parametrize("kind", [COUNTERS, INCREMENTS])
def test_counts_after_sigterm(account: Account, hang: Hang, kind: str) -> None:
    """Increments stay in the state, for nobody takes them; counters come out. The next cycle has all of the use."""
    account.cycle(kind)
    began = account.hour
    account.sleep(6 * 3600)
    collector = account.collector(kind)
    hang.on_call = collector.cancel
    hang_at(account.cloud, 4, hang)
    assert len(points(run_cycle([collector])[0], CONSUMED)) == (kind == COUNTERS)
    hang.release.set()
    wait_for_threads(account.clock)
    (point,) = points(account.cycle(kind), CONSUMED)
    assert point.fields["tokens"] == sum(map(account.truth, range(began, account.hour, HOUR))) > 0


class SlowPlanner:
    """A planner whose state hangs when it emits."""

    def __init__(self, planner: Any, hang: Hang) -> None:
        self._planner = planner
        self._hang = hang

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def is_answered(self, end: CycleEnd) -> bool:
        self._hang()
        return bool(self._planner.is_answered(end))


@pytest.mark.parametrize("is_sigterm", [True, False], ids=["SIGTERM", "deadline"])
def test_state_that_hangs(account: Account, hang: Hang, is_sigterm: bool) -> None:
    """The cycle ends without counts. What the state emits too late is dropped: the next cycle emits it."""
    account.cycle(INCREMENTS)
    began = account.hour
    account.sleep(6 * 3600)
    collector = account.collector(INCREMENTS)
    make_source, make_planner = SOURCES[0].make_source, SOURCES[0].make_planner
    collector.sources = [SourceEntry(make_source, lambda *args: SlowPlanner(make_planner(*args), hang))]  # type: ignore[arg-type,return-value]

    def stop() -> None:
        if is_sigterm:
            collector.cancel()
        account.sleep(STATE_STOP_S + 0.01 if is_sigterm else 25 + EMIT_S)

    hang.on_call = stop
    batch = run_cycle([collector])[0]
    assert points(batch, USAGE)
    assert not points(batch, CONSUMED)
    assert batch.result == Result.PARTIAL
    assert "hours and counters are paused" in texts(batch)[0]
    hang.release.set()
    wait_for_threads(account.clock)
    (point,) = points(account.cycle(INCREMENTS), CONSUMED)
    assert point.fields["tokens"] == sum(map(account.truth, range(began, account.hour, HOUR))) > 0


def test_late_credentials(cloud: Cloud, clock: FixedClock, make_collector: Make, hang: Hang) -> None:
    """Credentials that come after the deadline leave no cycle open: each later one verifies the key again."""
    keys: List[Callable[[], object]] = [hang, lambda: None, lambda: None]
    collector = make_collector(cloud.entry(ranges=RANGES), provider=lambda: keys.pop(0)() or Credentials(AK, SK))
    assert run_cycle([collector])[0].result == Result.TIMED_OUT
    hang.release.set()
    hang.threads[0].join()
    assert not collector.schedulers.of(Credentials(AK, SK)).queue.groups
    assert run_cycle([collector])[0].result == Result.OK
    assert len(cloud.requests) == len(RANGES)
    cloud.responder = lambda request: Response(b"{}", 401)
    assert run_cycle([collector])[0].result == Result.KEY_REFUSED
    assert len(cloud.requests) == len(RANGES) + 1


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("is_sigterm", [True, False], ids=["SIGTERM", "deadline"])
def test_live_minutes_that_are_not_sent(account: Account, hang: Hang, number: int, is_sigterm: bool) -> None:
    """They are failures, for no later cycle can query them. Hours of models that were not sent are none."""

    def sent() -> int:
        return sum(request.path.endswith("/batch-query-metric-data") for request in account.cloud.requests)

    account.cloud.emulator.models = SimulatedModels(6, 8)
    account.cycle(hourly=False, models=True)
    planned = sent()
    account.sleep(300)
    collector = account.collector(models=True)
    hang.on_call = collector.cancel if is_sigterm else hang.on_call
    account.cloud.responder = lambda request: hang() if sent() == planned + number else None
    batch = run_cycle([collector])[0]
    assert health(batch)["failed_queries"] == planned - number + 1 > 1
    assert bool(points(batch, MODEL)) == (number > 1)
    line = "the cycle was ended by a signal" if is_sigterm else "no answer within the deadline of 25 s"
    assert f"Cloud Eye: {line}" in texts(batch)[0]


@pytest.mark.parametrize(
    ("number", "queries", "failed", "measurements"),
    [(2, 2, 1, [USAGE]), (5, 5, 1, [USAGE] * 2), (6, 5, 0, [USAGE] * 2 + [MODEL] * 14)],
    ids=["range", "live minutes", "hours"],
)
def test_answer_after_the_deadline(
    account: Account, hang: Hang, number: int, queries: int, failed: int, measurements: List[str]
) -> None:
    """An answer that comes after the deadline, but before the batch is built, is dropped."""
    account.cloud.emulator.models = SimulatedModels(1, 0)
    collector = account.collector(ranges=["last_1h", "last_2h"], models=True)
    hang_at(account.cloud, number, hang)
    cycle = Cycle(collector, 25.0, lambda: None, account.clock.now())
    credentials = Credentials(AK, SK)
    scheduler = collector.schedulers.of(credentials)
    scheduler.submit(cycle.begin(scheduler, credentials))
    scheduler.wait(cycle.session.group)
    assert cycle.end_queries()
    cycle.emit()
    hang.release.set()
    hang.threads[0].join()
    batch = cycle.batch()
    assert [point.measurement for point in batch.points] == [*measurements, API]
    assert (health(batch)["queries"], health(batch)["failed_queries"]) == (queries, failed)


@pytest.mark.parametrize("is_slow", [True, False], ids=["slow", "hangs"])
def test_hours_that_are_not_sent(account: Account, hang: Hang, is_slow: bool) -> None:
    """Hours that the deadline leaves no time for are queried in the next cycle: no failure."""
    hang_at(account.cloud, 10, hang)
    if is_slow:
        hang.release.set()
    batch = account.cycle()
    assert (batch.result, health(batch)["up"], health(batch)["failed_queries"]) == (Result.OK, 1, 0)
    assert 0 < health(batch)["missing_hours"] < 24
    assert texts(batch) == []
    hang.release.set()
    wait_for_threads(account.clock)
    assert health(account.cycle())["missing_hours"] == 0
