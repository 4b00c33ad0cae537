"""Processes that use one access key at once share its state: the probe, the rate, and refusals."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import pytest

from maas_usage_check.errors import Result
from maas_usage_check.scheduling.rate_limiter import LEASE_S, WINDOW_S
from maas_usage_check.scheduling.request_queue import PROBE_POLL_S
from maas_usage_check.state import Store

from ..fixed_clock import MONDAY, FixedClock
from . import other_process
from .account import Account

ROOT = Path(__file__).parents[2]


class Process:
    """Another process; see other_process for the commands."""

    def __init__(self, path: Path, now: float, rate: int) -> None:
        command = [sys.executable, "-m", other_process.__name__, str(path), repr(now), str(rate)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", cwd=ROOT
        )

    def ask(self, command: str) -> None:
        """Give a command without waiting for its answer."""
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        return ast.literal_eval(self.process.stdout.readline())

    def __call__(self, *commands: str) -> Any:
        """Return the answer to the last of these commands."""
        for command in commands:
            self.ask(command)
            answer = self.answer()
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, clock: FixedClock) -> Iterator[Start]:
    """Start other processes; each begins a cycle of 25 s."""
    started: List[Process] = []
    clock.at = MONDAY

    def start(rate: int = 100, ahead_s: float = 0.0, seconds: float = 25.0) -> Process:
        started.append(Process(tmp_path / "s.sqlite3", clock.at + ahead_s, rate))
        started[-1](f"begin {seconds}")
        return started[-1]

    yield start
    for each in started:
        each.kill()


class Mine(Account):
    """This process, in a cycle of the same key."""

    def __init__(self, path: Path, clock: FixedClock, rate: int = 100) -> None:
        super().__init__(clock, Store(lambda: str(path), pytest.fail, clock.now), rate)

    def goes(self, count: int = 1) -> List[bool]:
        """Begin a cycle; return which of so many requests are in flight at once."""
        self.submit(self.group(60.0), *map(str, range(count)))
        return [self.next() is not None for _ in range(count)]


@pytest.fixture
def mine(tmp_path: Path, start: Start, clock: FixedClock) -> Mine:
    return Mine(tmp_path / "s.sqlite3", clock)


@pytest.mark.parametrize("result", [Result.OK, Result.NETWORK, Result.KEY_REFUSED])
def test_probe_of_another_process(start: Start, mine: Mine, result: Result) -> None:
    """Until it has ended nothing goes; then all, one, or nothing."""
    other = start()
    assert other("submit 1", "next")
    assert mine.goes(2) == [False, False]
    assert mine.queue.pause_s == PROBE_POLL_S
    other(f"end {result.name}")
    goes = {Result.OK: [True, True], Result.NETWORK: [True, False], Result.KEY_REFUSED: [False, False]}
    assert [mine.next() is not None for _ in range(2)] == goes[result]
    assert mine.errors() == ([result] * 2 if result == Result.KEY_REFUSED else [])


def test_killed_in_its_probe(start: Start, mine: Mine) -> None:
    """The kernel frees its lock at once, and no process that sent a probe before keeps it."""
    start()("submit 1", "next", "end NETWORK")
    other = start()
    assert other("submit 1", "next")
    assert mine.goes() == [False]
    other.kill()
    assert mine.next() is not None


def test_probe_after_a_kill(start: Start, mine: Mine) -> None:
    """Of those that wait for the probe of a killed process one goes."""
    killed, other = start(), start()
    assert killed("submit 1", "next")
    killed.kill()
    assert other("submit 1", "next")
    assert mine.goes() == [False]


def test_cycle_that_ends_during_its_probe(start: Start, mine: Mine) -> None:
    other = start()
    assert other("submit 1", "next")
    assert mine.goes() == [False]
    other("close")
    assert mine.next() is not None


@pytest.mark.parametrize(("after", "goes"), [(19.999, False), (20.0, True), (20.001, True)])
def test_hangs_in_its_probe(start: Start, mine: Mine, clock: FixedClock, after: float, goes: bool) -> None:
    """A process holds the others up until the deadline of its cycle."""
    other = start(seconds=20.0)
    assert other("submit 1", "next")
    assert mine.goes() == [False]
    clock.at = MONDAY + after
    assert (mine.next() is not None) == goes


@pytest.mark.parametrize(("after", "in_flight"), [(-0.001, 1), (0.0, 2), (59.999, 2), (60.0, 1)])
def test_verified_by_another_process(start: Start, mine: Mine, clock: FixedClock, after: float, in_flight: int) -> None:
    """Its success verifies the key for a minute; not where it lies in the future."""
    start()("submit 1", "next", "end OK", "close")
    clock.at = MONDAY + after
    assert sum(mine.goes(2)) == in_flight


@pytest.mark.parametrize("priority", ["RANGE", "RECENT"])
def test_rate(start: Start, priority: str) -> None:
    """Ten processes at once with leases of their own: together no more than the rate leaves, in every minute."""
    processes = [start(rate=10) for _ in range(10)]
    expected = 10 if priority == "RANGE" else 5
    for _ in range(2):
        for each in processes:
            each.ask(f"submit 3 {priority}")
            each.ask("send")
        assert sum([(each.answer(), each.answer())[1] for each in processes]) == expected
        for each in processes:
            each("close", f"forward {WINDOW_S - 1}", "begin 0.5", f"submit 1 {priority}")
        assert sum(each("send") for each in processes) == 0
        for each in processes:
            each("close", "forward 1", "begin 0.5")


def test_leases_of_killed_processes(start: Start, mine: Mine, clock: FixedClock) -> None:
    """Their places count as used until nobody can use them any more."""
    mine.rate = 5
    for probes in (True, False):  # the second one leases two places, for the first one has verified the key
        killed = start(rate=6)
        assert killed("submit 4", *(["next", "end OK"] if probes else []), "next")
        killed.kill()
    clock.at = MONDAY + LEASE_S + WINDOW_S - 1
    group = mine.group(0.5)
    mine.submit(group, "a")
    assert mine.send() is None
    assert mine.errors() == [Result.OVER_RATE]
    clock.at = MONDAY + LEASE_S + WINDOW_S
    assert mine.goes() == [True]


@pytest.mark.parametrize("result", [Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.THROTTLED])
@pytest.mark.parametrize("killed", [False, True])
def test_refusal(start: Start, mine: Mine, clock: FixedClock, result: Result, killed: bool) -> None:
    """The other processes see it, those that run and those that start later, also where the refused one is killed."""
    running, refused = start(), start()
    running("submit 1")
    refused("submit 1", "next", f"end {result.name}")
    if killed:
        refused.kill()
    for process in (running, start()):
        assert not process("submit 1", "next")
        assert set(process("errors")) == {result.name}
    wait_s = 60 if result == Result.THROTTLED else 300
    clock.at = MONDAY + wait_s - 0.001
    assert mine.goes() == [False]
    clock.at = MONDAY + wait_s
    assert mine.goes() == [True]


@pytest.mark.parametrize(
    ("ahead_s", "waits_s"), [(100.0, 120), (3580.0, 3600), (3580.001, None), (7200.0, None), (-100.0, None)]
)
def test_probe_under_another_clock(
    start: Start, mine: Mine, clock: FixedClock, ahead_s: float, waits_s: Optional[int]
) -> None:
    """Where the clock was set back since, a claim holds as long as one can be; where it was set forward, it is over."""
    other = start(ahead_s=ahead_s, seconds=20.0)
    assert other("submit 1", "next")
    mine.submit(mine.group(7200.0), "a", "b")
    assert (mine.next() is not None) == (waits_s is None)
    if waits_s:
        clock.at = MONDAY + waits_s
        assert mine.next() is not None


@pytest.mark.parametrize(
    ("result", "ahead_s", "wait_s"),
    [
        (Result.KEY_REFUSED, 800, 1100),
        (Result.KEY_REFUSED, 1000, 0),
        (Result.KEY_REFUSED, -200, 100),
        (Result.KEY_REFUSED, -300, 0),
        (Result.THROTTLED, 3000, 3060),
        (Result.THROTTLED, 7200, 3600),
        (Result.THROTTLED, -60, 0),
    ],
)
def test_refusal_under_another_clock(
    start: Start, mine: Mine, clock: FixedClock, result: Result, ahead_s: int, wait_s: int
) -> None:
    """A refusal's wait ends if the clock was set by more than 15 minutes; no wait is longer than an hour."""
    start(ahead_s=ahead_s)("submit 1", "next", f"end {result.name}", "close")
    assert mine.goes() == [wait_s == 0]
    if wait_s:
        clock.at = MONDAY + wait_s - 0.001
        assert mine.goes() == [False]
        clock.at = MONDAY + wait_s
        assert mine.goes() == [True]


@pytest.mark.parametrize("set_by", [7200.0, -7200.0])
def test_rate_under_another_clock(start: Start, mine: Mine, set_by: float) -> None:
    """What another process counted under another clock blocks nobody for ever."""
    mine.rate = 3
    assert start(rate=3, ahead_s=set_by)("submit 3", "send") == 3
    assert mine.goes() == [True]


@pytest.mark.parametrize("set_by", [7200, -7200])
def test_clock_set_during_a_cycle(start: Start, mine: Mine, set_by: int) -> None:
    """Between two requests: the process sends the other with its lease, and what it counted blocks nobody."""
    mine.rate = 5
    other = start(rate=5)
    assert other("submit 2", "next", f"set {set_by}", "end OK", "send") == 1
    other("close")
    mine.submit(mine.group(0.5), *"abcdef")
    assert sum(mine.send() is not None for _ in range(6)) == 5
