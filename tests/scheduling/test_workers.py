"""The workers of a scheduler: no pause and no hang of one keeps another from its request."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import pytest

from maas_usage_check import watchdog
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Group, Priority, Request, Scheduler, Schedulers
from maas_usage_check.scheduling.key_state import KeyEntry
from maas_usage_check.state import Store

from ..conftest import AK, NOW, SK, wait_for


class Workers:
    """A scheduler whose clock stands still; its timed pauses are recorded, and end only where something changes."""

    def __init__(self, store: Optional[Store] = None) -> None:
        self.at = NOW
        self.pauses: List[float] = []
        self.ended: Dict[str, Any] = {}
        self.release = threading.Event()
        self.hung: List[str] = []
        clock = Clock(lambda: self.at, lambda: self.at, self._pause)
        self.scheduler: Scheduler = Schedulers(store or Store(), clock).of(Credentials(AK, SK))

    def _pause(self, condition: threading.Condition, seconds: float) -> None:
        self.pauses.append(seconds)
        condition.wait()

    def group(self, seconds: float, rate: int = 100, retries_s: Sequence[float] = ()) -> Group:
        group = Group(rate, 4, self.at + seconds, retries_s=retries_s)
        self.scheduler.open(group)
        return group

    def submit(
        self,
        group: Group,
        *names: str,
        run: Callable[[], Any] = lambda: "answer",
        priority: Priority = Priority.RANGE,
    ) -> None:
        def request(name: str) -> Request:
            def on_end(outcome: Any) -> List[Request]:
                self.ended[name] = outcome
                return []

            return Request(group, (priority,), "statistics", run, on_end)

        self.scheduler.submit([request(name) for name in names])

    def wait_for(self, *names: str) -> None:
        wait_for(lambda: set(names) <= set(self.ended), f"the end of {', '.join(names)}", 10)

    def watch(self, group: Group) -> None:
        threading.Thread(target=self.scheduler.wait, args=(group,), daemon=True).start()

    def hang(self) -> None:
        self.hung.append(threading.current_thread().name)
        self.release.wait(30)


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.release.set()


def fail() -> None:
    raise QueryError(Result.NETWORK, "x")


def test_retry_during_a_longer_pause(workers: Workers) -> None:
    """While one worker waits a minute for the rate, another waits half a second for a retry."""
    slow = workers.group(100, rate=2)
    workers.submit(slow, "a", priority=Priority.BACKFILL)
    workers.wait_for("a")
    workers.submit(slow, "b", priority=Priority.BACKFILL)
    wait_for(lambda: workers.pauses, "the pause for the rate", 10)

    def fail_later() -> None:
        wait_for(lambda: len(workers.pauses) >= 2, "the other worker's pause", 10)
        fail()

    workers.submit(workers.group(25, retries_s=(0.5,)), "c", run=fail_later)
    wait_for(lambda: min(workers.pauses) < 1, "the pause for the retry", 10)


def test_idle_workers_take_the_slot_of_a_hung_request(workers: Workers) -> None:
    """Though no worker must be hired: those that there are wait without end."""
    short, long = workers.group(1), workers.group(25)
    workers.submit(short, "a", "b", "hangs", run=lambda: workers.hang() if len(workers.ended) == 2 else fail())
    wait_for(lambda: workers.hung, "the hung request", 10)
    workers.submit(long, "c")
    workers.at += 1
    workers.scheduler.close(short, {})
    workers.wait_for("c")


def test_hung_workers_without_threads(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started in place of one that hangs, the cycle's own sends the requests."""
    first = workers.group(1)
    workers.submit(first, "a", run=workers.hang)
    wait_for(lambda: workers.hung, "the hung request", 10)
    workers.at += 1
    workers.scheduler.close(first, {})
    monkeypatch.setattr(watchdog, "start_thread", lambda work: False)
    second = workers.group(25)
    workers.submit(second, "b")
    workers.watch(second)
    workers.wait_for("b")


class HangingStore(Store):
    """A state in which the next transaction of an access key hangs."""

    hangs = False

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.release = threading.Event(), threading.Event()

    def entry(self, kind: Any, name: str, durable: bool = False) -> Any:
        if self.hangs and kind is KeyEntry:
            self.entered.set()
            self.release.wait(30)
        return super().entry(kind, name, durable)


def test_scheduler_that_hangs_is_replaced() -> None:
    """A thread that hangs in the state holds the lock of its scheduler: the next cycle gets another one."""
    store, credentials = HangingStore(), Credentials(AK, SK)
    schedulers = Schedulers(store, Clock())
    first = schedulers.of(credentials)
    store.hangs = True
    assert schedulers.of(credentials) is first
    threading.Thread(target=first.open, args=(Group(1, 1, 1e12),), daemon=True).start()
    wait_for(store.entered.is_set, "the transaction", 10)
    second = schedulers.of(credentials)
    assert second is not first
    assert schedulers.of(credentials) is second
    store.release.set()


class FailingStore(Store):
    """A state in which transactions of an access key raise what nobody expects."""

    failures = 0

    def entry(self, kind: Any, name: str, durable: bool = False) -> Any:
        if self.failures and kind is KeyEntry:
            self.failures -= 1
            raise ZeroDivisionError
        return super().entry(kind, name, durable)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_workers_that_die_are_replaced() -> None:
    store = FailingStore()
    workers = Workers(store)
    group = workers.group(25)
    store.failures = 1
    workers.submit(group, "a")
    wait_for(lambda: not store.failures, "the failure", 10)
    workers.watch(group)
    workers.wait_for("a")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_worker_that_dies_after_its_request() -> None:
    """It holds no slot, and does not count as hung."""
    store = FailingStore()
    workers = Workers(store)
    group, ran = workers.group(25), threading.Event()

    def run() -> None:
        store.failures = 1
        ran.set()

    workers.submit(group, "dies", run=run)
    wait_for(lambda: ran.is_set() and not workers.scheduler.queue.in_flight, "the end of the worker", 10)
    workers.submit(group, "next")
    workers.wait_for("next")
    workers.scheduler.close(group, {})
    assert watchdog.hung_threads(workers.at + watchdog.HUNG_S + 1) == 0
