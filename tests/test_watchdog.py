"""Waiting, and work that is left behind, at the boundaries of their times."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from typing import Iterator, List

import pytest

from maas_usage_check import watchdog
from maas_usage_check.clock import Clock
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.watchdog import HUNG_S, Watched, came_back, hung_threads, leave_behind, run_with_deadline

from .conftest import FixedClock
from .conftest import wait_for as eventually

LIMIT_S = 30.0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Let what hangs end with the test."""
    event = threading.Event()
    yield event
    event.set()


class Ticking:
    """A clock that is a second later each time it is read."""

    def __init__(self) -> None:
        self.at = 0.0
        self.clock = Clock(monotonic=self.monotonic)

    def monotonic(self) -> float:
        self.at += 1
        return self.at


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.parametrize(("deadline", "reads"), [(0.999, 1), (1.0, 1), (1.001, 2), (2.0, 2), (2.001, 3)])
def test_deadline(deadline: float, reads: int) -> None:
    """The wait ends when the deadline is reached, not after it."""
    ticking, polls = Ticking(), []

    class Event(threading.Event):
        def wait(self, timeout: float = 0.0) -> bool:  # type: ignore[override]
            polls.append(timeout)
            return False

    assert not watchdog.wait_for(Event(), lambda: deadline, monotonic=ticking.monotonic)
    assert ticking.at == reads
    assert all(0 < timeout <= watchdog.POLL_S for timeout in polls)


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_event_that_is_set(left_s: float) -> None:
    """It counts although the deadline has passed or the wait was cancelled."""
    event = threading.Event()
    event.set()
    assert watchdog.wait_for(event, lambda: left_s, lambda: True, lambda: 0.0)


def test_event_set_while_the_deadline_is_read() -> None:
    event = threading.Event()

    def deadline() -> float:
        event.set()
        return 0.0

    assert watchdog.wait_for(event, deadline, monotonic=lambda: 0.0)


def test_deadline_that_moves() -> None:
    """It is read each time: waiting for the rate may extend it."""
    ticking = Ticking()
    assert not watchdog.wait_for(threading.Event(), lambda: 2.001 if ticking.at else 1.001, monotonic=ticking.monotonic)
    assert ticking.at == 3


def test_cancelled_wait() -> None:
    calls: List[int] = []

    def is_cancelled() -> bool:
        calls.append(1)
        return len(calls) == 3

    assert not watchdog.wait_for(threading.Event(), lambda: 1.0, is_cancelled, lambda: 0.0)


def test_outcomes(clock: FixedClock) -> None:
    error = ValueError("x")

    def fail() -> int:
        raise error

    assert run_with_deadline(lambda: 1, clock.clock, LIMIT_S) == 1
    assert run_with_deadline(fail, clock.clock, LIMIT_S) is error
    assert Watched(lambda: 1).result() == 1
    with pytest.raises(ValueError, match="x"):
        Watched(fail).result()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_left(clock: FixedClock, release: threading.Event, seconds: float) -> None:
    assert run_with_deadline(release.wait, clock.clock, seconds) is None


def test_cancelled_work(clock: FixedClock, release: threading.Event) -> None:
    """Cancelled work is left behind, and counts as hung a minute later."""
    assert not Watched(release.wait).wait(clock.clock, lambda: math.inf, lambda: True)
    clock.at += HUNG_S + 0.001
    assert hung_threads(clock.clock.monotonic()) == 1


@pytest.mark.usefixtures("no_threads")
def test_no_threads(clock: FixedClock) -> None:
    """Where no thread can be started, the work is done in this one, and nothing is left behind."""
    threads: List[threading.Thread] = []
    assert run_with_deadline(lambda: threads.append(threading.current_thread()), clock.clock, -1.0) is None
    assert threads == [threading.current_thread()]
    clock.at += HUNG_S + 0.001
    assert hung_threads(clock.clock.monotonic()) == 0


@pytest.mark.parametrize(("after", "hung"), [(59.999, 0), (60.0, 0), (60.001, 1)])
def test_hung_thread(after: float, hung: int) -> None:
    """Work counts as hung more than a minute after it was left behind, until it comes back."""
    work = object()
    leave_behind(work, 0.0)
    assert hung_threads(after) == hung
    came_back(work)
    assert hung_threads(after) == 0


def test_work_that_comes_back(clock: FixedClock, release: threading.Event) -> None:
    watched = Watched(release.wait)
    assert not watched.wait(clock.clock, lambda: clock.clock.monotonic())
    clock.at += HUNG_S + 0.001
    assert hung_threads(clock.clock.monotonic()) == 1
    release.set()
    assert watched.result()
    eventually(lambda: not hung_threads(clock.clock.monotonic()), "the work to come back", LIMIT_S)


def test_left_behind_twice(clock: FixedClock) -> None:
    """It hangs since the first time."""
    work, now = object(), clock.clock.monotonic()
    leave_behind(work, now)
    leave_behind(work, now + 60)
    assert hung_threads(now + 60.001) == 1


def test_came_back_without_being_left(clock: FixedClock) -> None:
    came_back(object())
    assert hung_threads(clock.clock.monotonic() + 1e9) == 0


def test_end_at_the_very_moment_it_is_left(clock: FixedClock, release: threading.Event) -> None:
    """Work that ends between the last look and being left behind is not counted."""
    watched = Watched(release.wait)
    reads: List[int] = []

    def monotonic() -> float:
        if reads:  # it is being left behind
            release.set()
            watched.result()
        reads.append(1)
        return clock.clock.monotonic()

    watched.wait(Clock(monotonic=monotonic), lambda: clock.at + LIMIT_S, lambda: True)
    assert len(reads) == 2
    clock.at += HUNG_S + 0.001
    assert hung_threads(clock.clock.monotonic()) == 0


def test_identities_are_used_again(clock: FixedClock) -> None:
    """What is kept of work is its identity alone: it is forgotten before that can be another's."""

    class Work:
        pass

    for _ in range(100):
        work = Work()
        leave_behind(work, clock.clock.monotonic())
        came_back(work)
        del work
    assert hung_threads(clock.clock.monotonic() + 1e9) == 0


def test_hung_work_keeps_its_identity(clock: FixedClock, release: threading.Event) -> None:
    """Its thread keeps it alive, so no other work can have its identity; once it came back it is freed."""
    watched = Watched(release.wait)
    kept = weakref.ref(watched)
    watched.wait(clock.clock, lambda: clock.clock.monotonic())
    del watched
    gc.collect()
    assert kept() is not None
    release.set()
    eventually(lambda: kept() is None, "the work to be freed", LIMIT_S)
    assert hung_threads(clock.clock.monotonic() + 1e9) == 0


class Panic(BaseException):
    """Its text must not be shown."""


def test_panic(clock: FixedClock, capfd: pytest.CaptureFixture[str]) -> None:
    """An exception that is no Exception becomes an internal error; its thread prints nothing."""

    def panic() -> int:
        raise Panic("PLANTED")

    def interrupt() -> int:
        raise KeyboardInterrupt("PLANTED")

    for work, name in ((panic, "Panic"), (interrupt, "KeyboardInterrupt")):
        outcome = run_with_deadline(work, clock.clock, LIMIT_S)
        assert isinstance(outcome, QueryError)
        assert (outcome.result, str(outcome)) == (Result.INTERNAL, f"a bug in this plugin ({name}): please report it")
    with pytest.raises(QueryError, match="Panic"):
        Watched(panic).result()
    ended = threading.Event()

    def end() -> None:
        try:
            panic()
        finally:
            ended.set()

    threads = threading.active_count()
    assert watchdog.start_thread(end)
    assert ended.wait(LIMIT_S)
    eventually(lambda: threading.active_count() <= threads, "the thread to end", LIMIT_S)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_threads")
def test_panic_without_threads(clock: FixedClock) -> None:
    """In the main thread Ctrl-C is passed on; a panic is not."""

    def fail(error: BaseException) -> int:
        raise error

    assert isinstance(run_with_deadline(lambda: fail(Panic()), clock.clock, LIMIT_S), QueryError)
    with pytest.raises(KeyboardInterrupt):
        Watched(lambda: fail(KeyboardInterrupt()))
