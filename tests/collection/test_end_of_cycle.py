"""The end of a cycle: a signal while it emits, answers that come too late, and an instance that cannot be planned."""

from __future__ import annotations

import threading
from typing import Any, List, Sequence, Tuple

import pytest

from maas_usage_check import watchdog
from maas_usage_check.cloud import Credentials
from maas_usage_check.cloud.statistics import Statistics
from maas_usage_check.collection import Collector, Session, SourceEntry, run_cycle
from maas_usage_check.collection.background import BackgroundQueries
from maas_usage_check.commands.runner import make_collectors
from maas_usage_check.config import load
from maas_usage_check.errors import ConfigError, QueryError, Result
from maas_usage_check.ledger import HOURS, Consumer, CycleEnd, PartialBatch, QueryTask
from maas_usage_check.ledger.planner import Stored, Texts
from maas_usage_check.scheduling import Priority
from maas_usage_check.state import Store
from maas_usage_check.watchdog import STATE_STOP_S

from ..conftest import AK, SK, Cloud, FixedClock
from .account import Make


class TwoLiveQueries:
    """A planner of two live queries."""

    source = Statistics()
    texts = Texts("toys", "", "", "", "")
    has_hours = True

    def __init__(self) -> None:
        self.answers: List[Any] = []

    def plan(self, *_: Any) -> Sequence[QueryTask]:
        return [QueryTask((Priority.LIVE, i), i, self.on_answer) for i in range(2)]

    def on_answer(self, answer: Any) -> Sequence[QueryTask]:
        self.answers.append(answer)
        return ()

    def finish(self) -> Sequence[str]:
        return ()

    def is_answered(self, end: CycleEnd) -> bool:
        return True

    def stored(self, *_: Any) -> Stored:
        return Stored([])

    def details(self, end: CycleEnd, emitted: bool) -> PartialBatch:
        return PartialBatch([], {}, [])


@pytest.mark.parametrize("waited_s", [0.0, 1.0])
def test_cancel_while_the_state_hangs(cloud: Cloud, clock: FixedClock, make_collector: Make, waited_s: float) -> None:
    """The deadline is 25 s away, and yet the cycle waits for the state no longer than STATE_STOP_S."""
    collector, release, ended = make_collector(cloud.entry(ranges=["today"])), threading.Event(), []

    class Hanging(TwoLiveQueries):
        def plan(self, *_: Any) -> Sequence[QueryTask]:
            return ()

        def is_answered(self, end: CycleEnd) -> bool:
            clock.at += waited_s
            collector.cancel()
            clock.at += STATE_STOP_S + 0.001
            ended.append(release.wait(10))
            return True

    collector.consumer = Consumer("a", HOURS)
    collector.sources = [SourceEntry(lambda _: Statistics(), lambda *_: Hanging())]
    run_cycle([collector])[0]
    assert not ended
    release.set()


def live_queries(planner: TwoLiveQueries, collector: Collector) -> Tuple[Session, BackgroundQueries]:
    """Open a session; return also the background queries of a planner in it."""
    session, credentials = Session(collector, 25.0), collector.provider()
    session.open(collector.schedulers.of(credentials), credentials)
    return session, BackgroundQueries(planner, session, 0)


def test_late_ends_change_nothing(cloud: Cloud, make_collector: Make) -> None:
    planner = TwoLiveQueries()
    session, queries = live_queries(planner, make_collector(cloud.entry()))
    first, second = queries.plan(True)
    first.on_end("in time")
    session.is_over = True
    end = queries.end({}, True, lambda: True)
    second.on_end("late")
    assert planner.answers == ["in time"]
    assert [failure and failure.result for failure in end.ends] == [None, Result.TIMED_OUT]


def test_failures_after_a_stop(cloud: Cloud, make_collector: Make) -> None:
    """A query that fails after a stop, before the cycle has ended, has the stop as its reason; an answer counts."""
    planner, collector = TwoLiveQueries(), make_collector(cloud.entry())
    session, queries = live_queries(planner, collector)
    first, second = queries.plan(True)
    collector.cancel()
    first.on_end(session.group.not_sent_error())
    second.on_end("in time")
    session.failure = QueryError(Result.TIMED_OUT, "the stop")
    assert planner.answers == ["in time"]
    assert list(map(str, queries.end({}, True, lambda: True).ends)) == ["None", "the stop"]


def test_failure_that_stops_a_source(cloud: Cloud, make_collector: Make) -> None:
    """It is the reason of the live queries that are not sent after it."""
    planner = TwoLiveQueries()
    session, queries = live_queries(planner, make_collector(cloud.entry()))
    first, second = queries.plan(True)
    first.on_end(QueryError(Result.PERMISSION_DENIED, "no permission"))
    assert second.is_dropped()
    second.on_end(session.group.not_sent_error())
    assert list(map(str, queries.end({}, True, lambda: True).ends)) == ["no permission"] * 2


def test_nothing_starts_unless_all_is_planned(
    cloud: Cloud, make_collector: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle that nobody ends would stay open for ever."""
    monkeypatch.setattr(watchdog, "start_thread", lambda work: False)  # it would run at once, in this thread
    connected = []

    def provide() -> Credentials:
        connected.append(True)
        return Credentials(AK, SK)

    class Unplannable(Statistics):
        def plan(self, *_: Any) -> Any:
            raise ConfigError("timezone: the host's is not known")

    first, second = make_collector(cloud.entry(), provider=provide), make_collector(cloud.entry(tags=["a:b"]))
    second.sources = [SourceEntry(lambda _: Unplannable())]
    with pytest.raises(ConfigError):
        run_cycle([first, second])
    assert not connected


@pytest.mark.parametrize("fails", [False, True])
def test_credentials_are_fetched_once(cloud: Cloud, make_collector: Make, fails: bool) -> None:
    """Instances that share a provider share its result or error, so a slow provider delays a cycle once."""
    fetched = []

    def provide() -> Credentials:
        fetched.append(True)
        if fails:
            raise QueryError(Result.NO_CREDENTIALS, "no key")
        return Credentials(AK, SK)

    collectors = [make_collector(cloud.entry(tags=[f"n:{n}"]), provider=provide) for n in range(3)]
    batches = run_cycle(collectors)
    assert [batch.result for batch in batches] == [Result.NO_CREDENTIALS if fails else Result.OK] * 3
    assert len(fetched) == 1


def test_one_provider_for_each_source() -> None:
    """Instances of a file that name the same source share its provider."""
    sources: List[Any] = [{}, {"source": "env"}, {"source": "file", "path": "/a"}, {"source": "file", "path": "/a"}]
    entries = [{"tags": [f"n:{n}"], "credentials": source} for n, source in enumerate(sources)]
    first, second, third, fourth = make_collectors(load({"instances": entries}), Store())
    assert first.provider is second.provider
    assert third.provider is fourth.provider
    assert first.provider is not third.provider


def test_bug_is_no_timeout(cloud: Cloud, make_collector: Make) -> None:
    """An exception of the code that queries is reported as what it is."""

    class Broken(Statistics):
        @property
        def name(self) -> str:  # type: ignore[override]
            raise ZeroDivisionError

    collector = make_collector(cloud.entry())
    collector.sources = [SourceEntry(lambda _: Broken())]
    batch = run_cycle([collector])[0]
    assert batch.result == Result.INTERNAL
    assert "ZeroDivisionError" in batch.problems[0].text
