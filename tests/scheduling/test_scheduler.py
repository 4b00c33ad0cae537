"""The worker threads of a scheduler: events and barriers stand for requests of any length."""

from __future__ import annotations

import functools
import itertools
import threading
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

import pytest

from maas_usage_check import watchdog
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Group, Priority, Request, Scheduler, Schedulers
from maas_usage_check.scheduling.key_state import KeyState
from maas_usage_check.state import Store

from ..conftest import FixedClock

LIMIT_S = 30.0
"""Real seconds after which a test that hangs fails."""


def fail(result: Result) -> Any:
    raise QueryError(result, "x")


def wait(event: threading.Event) -> None:
    assert event.wait(LIMIT_S)


class Threads:
    """The scheduler of one access key, the requests of its cycles, and how they ended."""

    def __init__(
        self,
        clock: FixedClock,
        concurrency: int = 4,
        rate: int = 1000,
        used: Optional[Clock] = None,
        store: Optional[Store] = None,
    ) -> None:
        self.clock = clock
        self.scheduler = Scheduler(KeyState("key", store or Store(), clock.clock), used or clock.clock)
        self.concurrency, self.rate = concurrency, rate
        self.ended: List[Tuple[str, Any]] = []
        self.groups: List[Group] = []
        self._before = set(threading.enumerate())

    def group(self, seconds: float = 25.0, **keys: Any) -> Group:
        """Begin a cycle."""
        group = Group(self.rate, self.concurrency, self.clock.clock.monotonic() + seconds, **keys)
        self.scheduler.open(group)
        self.groups.append(group)
        return group

    def close(self) -> None:
        """End all cycles; then the workers end."""
        for group in self.groups:
            self.scheduler.close(group, {})
        join(self.workers())

    def workers(self) -> List[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == watchdog.NAME and each not in self._before]

    def request(
        self,
        group: Group,
        name: str,
        run: Callable[[], Any],
        priority: Priority = Priority.RANGE,
        follow_ups: Callable[[], Iterable[Request]] = tuple,
    ) -> Request:
        def on_end(outcome: Any) -> Iterable[Request]:
            self.ended.append((name, outcome))
            return follow_ups()

        return Request(group, (priority,), "statistics", run, on_end)

    def submit(self, group: Group, *runs: Callable[[], Any], priority: Priority = Priority.RANGE) -> None:
        self.scheduler.submit([self.request(group, str(i), run, priority) for i, run in enumerate(runs)])

    def wait(self, group: Group) -> None:
        """Wait for a cycle as its thread does; fail where that does not end."""
        waiting = threading.Thread(target=self.scheduler.wait, args=(group,), daemon=True)
        waiting.start()
        waiting.join(LIMIT_S)
        assert not waiting.is_alive()

    def verify(self) -> None:
        """Begin a cycle that stays open, and let its first request verify the key."""
        group = self.group(1e9)
        self.submit(group, str)
        self.wait(group)
        self.ended.clear()

    def results(self) -> List[Result]:
        return [outcome.result if isinstance(outcome, QueryError) else Result.OK for _, outcome in self.ended]


Make = Callable[..., Threads]


@pytest.fixture
def make(clock: FixedClock) -> Iterator[Make]:
    made: List[Threads] = []

    def make(**keys: Any) -> Threads:
        made.append(Threads(clock, **keys))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def threads(make: Make) -> Threads:
    return make()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


class InFlight:
    """Count the requests in flight as each of them begins."""

    def __init__(self) -> None:
        self.now = 0
        self.counts: List[int] = []
        self._lock = threading.Lock()

    def __enter__(self) -> int:
        with self._lock:
            self.now += 1
            self.counts.append(self.now)
            return len(self.counts)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def join(ending: Iterable[threading.Thread]) -> None:
    for thread in ending:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_first_alone_then_all(threads: Threads) -> None:
    """One request verifies the key, then there are `concurrency` in flight and never more."""
    group, in_flight, four = threads.group(), InFlight(), threading.Barrier(4)

    def run() -> None:
        with in_flight as number:
            if number > 1:
                four.wait(LIMIT_S)

    threads.submit(group, *[run] * 13)
    threads.wait(group)
    assert threads.results() == [Result.OK] * 13
    assert in_flight.counts[:2] == [1, 1]
    assert max(in_flight.counts) == 4


def test_key_verified_by_another_process(make: Make, clock: FixedClock) -> None:
    """Once its probe has ended there are workers for all slots."""
    store, release = Store(), threading.Event()
    other, threads = make(store=store), make(store=store, used=Clock(clock.now, clock.clock.monotonic))
    store.acquire = lambda name: None  # type: ignore[method-assign]
    group, is_in_flight = other.group(), threading.Event()

    def probe() -> None:
        is_in_flight.set()
        wait(release)

    other.submit(group, probe)
    wait(is_in_flight)
    mine, four = threads.group(), threading.Barrier(4)
    threads.submit(mine, *[functools.partial(four.wait, LIMIT_S)] * 4)
    release.set()
    wait(mine.ended)  # without a look from the cycle
    assert threads.results() == [Result.OK] * 4
    for each in (other, threads):
        each.scheduler.close(each.groups[0], {})


def test_slot_for_another_cycle(threads: Threads) -> None:
    """A request goes at once while one of another cycle is in flight, and slots are free."""
    threads.verify()
    group, is_in_flight, other_sent = threads.group(), threading.Event(), threading.Event()

    def run() -> None:
        is_in_flight.set()
        wait(other_sent)

    threads.submit(group, run)
    wait(is_in_flight)
    other = threads.group()
    threads.submit(other, other_sent.set)
    threads.wait(other)
    threads.wait(group)
    assert threads.results() == [Result.OK] * 2


def test_refused_key(threads: Threads) -> None:
    """All cycles together try it once."""
    groups = [threads.group() for _ in range(6)]
    submitted, sent = threading.Event(), []

    def run() -> Any:
        sent.append(1)
        wait(submitted)
        return fail(Result.KEY_REFUSED)

    for group in groups:
        threads.submit(group, *[run] * 4)
    submitted.set()
    for group in groups:
        threads.wait(group)
    assert len(sent) == 1
    assert threads.results() == [Result.KEY_REFUSED] * 24


def test_failure_that_does_not_verify(threads: Threads) -> None:
    """After it the next request goes alone too."""
    group, in_flight, working = threads.group(retries_s=()), InFlight(), []

    def run() -> Any:
        with in_flight:
            working.append(len(threads.workers()))
            return fail(Result.NETWORK)

    threads.submit(group, *[run] * 8)
    threads.wait(group)
    assert threads.results() == [Result.NETWORK] * 8
    assert in_flight.counts == [1] * 8
    assert working == [1] * 8


@pytest.mark.parametrize("failing", ["run", "on_end"])
def test_code_that_fails(threads: Threads, failing: str) -> None:
    """An error that is no QueryError ends its request alone."""
    group = threads.group()

    def crash() -> Any:
        raise ZeroDivisionError

    one = threads.request(group, "0", *((crash,) if failing == "run" else (str, Priority.RANGE, crash)))
    threads.scheduler.submit([one, threads.request(group, "1", str)])
    threads.wait(group)
    assert threads.results() == [Result.INTERNAL if failing == "run" else Result.OK, Result.OK]


def test_hung_workers(threads: Threads) -> None:
    """Workers that hang past their cycle's deadline are replaced, counted, and end when they come back."""
    release, hung = threading.Event(), []

    def hang() -> None:
        hung.append(threading.current_thread())
        if len(hung) % 4 == 0:
            all_hang.set()
        release.wait(2 * LIMIT_S)

    for _ in range(3):
        group, all_hang = threads.group(), threading.Event()
        threads.submit(group, str)
        threads.wait(group)
        threads.submit(group, *[hang] * 6)
        wait(all_hang)
        threads.clock.at += 25
        threads.wait(group)
        threads.scheduler.close(group, {})
        group, four = threads.group(), threading.Barrier(4)
        threads.submit(group, str, *[functools.partial(four.wait, LIMIT_S)] * 8)
        threads.wait(group)
        threads.scheduler.close(group, {})
    assert threads.results() == [Result.OK] * 30
    assert len(set(hung)) == 12
    threads.clock.at += 60.001
    assert watchdog.hung_threads(threads.clock.clock.monotonic()) == 12
    threads.verify()
    release.set()
    join(hung)
    assert watchdog.hung_threads(threads.clock.clock.monotonic()) == 0
    assert threads.results() == [Result.OK] * 12


def test_use_of_answers_that_hangs(threads: Threads) -> None:
    """The next cycle has workers all the same."""
    release, all_hang = threading.Event(), threading.Barrier(5)
    group = threads.group()

    def hang() -> Any:
        all_hang.wait(LIMIT_S)
        release.wait(2 * LIMIT_S)
        return ()

    threads.submit(group, str)
    threads.wait(group)
    threads.scheduler.submit([threads.request(group, "answer", str, follow_ups=hang) for _ in range(4)])
    all_hang.wait(LIMIT_S)
    threads.clock.at += 25
    threads.wait(group)
    threads.scheduler.close(group, {})
    threads.ended.clear()
    group, four = threads.group(), threading.Barrier(4)
    threads.submit(group, str, *[functools.partial(four.wait, LIMIT_S)] * 4)
    threads.wait(group)
    assert threads.results() == [Result.OK] * 5
    threads.clock.at += 60.001
    assert watchdog.hung_threads(threads.clock.clock.monotonic()) == 4
    threads.scheduler.close(group, {})
    release.set()
    join(threads.workers())
    assert watchdog.hung_threads(threads.clock.clock.monotonic()) == 0


def test_cancel(make: Make) -> None:
    """What has ended stays, what is in flight is left behind, what waits is not sent."""
    threads, release, is_in_flight = make(concurrency=1), threading.Event(), threading.Event()
    cancelled: List[bool] = []
    group = threads.group(is_cancelled=lambda: bool(cancelled))
    threads.submit(group, str)
    threads.wait(group)

    def hang() -> None:
        is_in_flight.set()
        release.wait(2 * LIMIT_S)

    threads.submit(group, hang, functools.partial(pytest.fail, "sent"))
    wait(is_in_flight)
    cancelled.append(True)
    threads.wait(group)
    assert threads.results() == [Result.OK]
    threads.scheduler.close(group, {})
    release.set()
    join(threads.workers())
    assert threads.results() == [Result.OK] * 2


def test_follow_ups(threads: Threads) -> None:
    """All that follows from answers is sent, once, before the cycle ends."""
    group = threads.group()

    def request(first: int, end: int) -> Request:
        middle = (first + end) // 2

        def halves() -> List[Request]:
            return [request(first, middle), request(middle, end)] if end - first > 1 else []

        return threads.request(group, f"{first} {end - first}", str, Priority.BACKFILL, halves)

    threads.rate = 10_000
    group = threads.group()
    threads.scheduler.submit([request(0, 256)])
    threads.wait(group)
    assert sorted(name for name, _ in threads.ended if name.endswith(" 1")) == sorted(f"{i} 1" for i in range(256))
    assert len(threads.ended) == 511


def test_workers_for_follow_ups(threads: Threads) -> None:
    """As soon as an answer brings more requests there are workers for them, without a look from the cycle."""
    group, both = threads.group(), threading.Barrier(2)
    run = functools.partial(both.wait, LIMIT_S)

    def follow_ups() -> List[Request]:
        return [threads.request(group, "next", run) for _ in range(2)]

    threads.scheduler.submit([threads.request(group, "first", str, follow_ups=follow_ups)])
    wait(group.ended)
    assert threads.results() == [Result.OK] * 3


def test_use_of_the_first_answer(threads: Threads) -> None:
    """While it takes its time, the key is verified and other workers send the other requests."""
    group, sent = threads.group(), threading.Event()

    def use() -> List[Request]:
        wait(sent)
        return []

    first = threads.request(group, "first", str, follow_ups=use)
    threads.scheduler.submit([first, threads.request(group, "next", sent.set)])
    wait(group.ended)
    assert threads.results() == [Result.OK] * 2


def test_cycles_of_many_instances(threads: Threads) -> None:
    """Two hundred cycles of one key end, with four workers."""
    most = [0]

    def run() -> None:
        most[0] = max(most[0], len(threads.workers()))

    groups = [threads.group() for _ in range(200)]
    for group in groups:
        threads.submit(group, *[run] * 4)
    for group in groups:
        threads.wait(group)
    assert threads.results() == [Result.OK] * 800
    assert most[0] <= 4


def test_workers_end_with_the_last_request(threads: Threads) -> None:
    """Though their cycle goes on."""
    group, four, working = threads.group(), threading.Barrier(4), set()

    def run() -> None:
        four.wait(LIMIT_S)
        working.add(threading.current_thread())

    threads.verify()
    threads.submit(group, *[run] * 8)
    threads.wait(group)
    assert len(working) == 4
    join(working)


def test_rate_wait(make: Make, clock: FixedClock) -> None:
    """The cycle is told once how long it waits for the rate."""
    threads, told = make(rate=1), threading.Event()
    waits: List[float] = []

    def on_wait(seconds: float) -> None:
        waits.append(seconds)
        told.set()

    group = threads.group(1000, on_wait=on_wait)
    threads.submit(group, str, functools.partial(wait, told), str)
    threads.scheduler.wait(group)
    assert threads.results() == [Result.OK] * 3
    assert waits == [61]
    assert clock.slept == [61, 61]


def test_no_threads(make: Make, clock: FixedClock) -> None:
    """Where no thread can be started, the waiting one sends all, and waits for retries and for the rate."""
    used = Clock(clock.now, clock.clock.monotonic, lambda condition, seconds: clock.sleep(seconds))
    threads, tries = make(rate=4, used=used), itertools.count()
    sent: List[float] = []
    waits: List[float] = []
    group = threads.group(1000, on_wait=waits.append)

    def run() -> None:
        sent.append(clock.at)
        if next(tries) in (1, 2):
            fail(Result.NETWORK)

    threads.submit(group, *[run] * 8)
    threads.scheduler.wait(group)
    assert threads.results() == [Result.OK] * 8
    assert len(sent) == 10
    assert max(sum(at <= other < at + 60 for other in sent) for at in sent) == 4
    assert len(waits) == 1
    assert waits[0] == pytest.approx(60, abs=1)


@pytest.mark.usefixtures("no_threads")
def test_refused_key_without_threads(threads: Threads) -> None:
    group = threads.group()
    threads.submit(group, *[functools.partial(fail, Result.KEY_REFUSED)] * 3)
    threads.scheduler.wait(group)
    assert threads.results() == [Result.KEY_REFUSED] * 3


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("seconds", [25, 25.001])
def test_deadline_without_threads(threads: Threads, seconds: float) -> None:
    """A request that ends after the deadline ends the cycle."""
    group = threads.group()
    threads.submit(group, functools.partial(threads.clock.sleep, seconds), functools.partial(pytest.fail, "sent"))
    threads.scheduler.wait(group)
    assert threads.results() == [Result.OK]


def test_one_scheduler_for_each_key(clock: FixedClock) -> None:
    """A temporary key's token changes, its scheduler stays."""
    schedulers = Schedulers(Store(), clock.clock)
    one = schedulers.of(Credentials("a", "b"))
    assert one is schedulers.of(Credentials("a", "b", "token"))
    assert one is not schedulers.of(Credentials("ab", ""))
    assert one.key.name != schedulers.of(Credentials("ab", "")).key.name


@pytest.mark.parametrize("reads", range(1, 5))
def test_deadline_between_two_looks_at_the_clock(reads: int) -> None:
    """The only request hangs, and the deadline passes while the wait goes on: nothing else is waited for."""
    at, waits, release, began = itertools.count(), [], threading.Event(), threading.Event()
    clock = Clock(
        FixedClock().now,
        lambda: float(next(at)),
        lambda condition, seconds: waits.append(seconds) or condition.wait(0.1),
    )

    def hang() -> None:
        began.set()
        release.wait(LIMIT_S)

    scheduler = Scheduler(KeyState("key", Store(), clock), clock)
    group = Group(100, 1, 1e9)
    scheduler.open(group)
    scheduler.submit([Request(group, (Priority.RANGE,), "statistics", hang, lambda outcome: ())])
    wait(began)
    group.deadline = next(at) + reads
    scheduler.wait(group)
    scheduler.close(group, {})
    release.set()
    assert waits == []
