from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, Iterator, List, Optional

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gate, Gates, Pass
from maas_usage_check.state import Store

from ..fixed_clock import FixedClock
from . import other_process

FAR = 1e9


@pytest.fixture
def store() -> Store:
    return Store()


def failed(result: Result, retry_after: Optional[float] = None, clock_off: Optional[float] = None) -> QueryError:
    return QueryError(result, "x", retry_after, clock_off=clock_off)


def refused_with(cycle: Pass, give_up: float = FAR, api: str = "statistics") -> Result:
    with pytest.raises(QueryError) as refused:
        cycle.admit(100, give_up, api=api)
    return refused.value.result


class Ticking:
    """A clock that goes on by 10 ms whenever it is read: what waits until a time comes to it on any machine."""

    def __init__(self) -> None:
        self.at = 0.0
        self.clock = Clock(FixedClock().now, self.monotonic)

    def monotonic(self) -> float:
        self.at += 0.01
        return self.at


class WaitsError(Exception):
    """Another request must prove the key first."""


def waits_alone(cycle: Pass) -> bool:
    """Tell whether the next request waits until another has proved the key; if not, it goes."""

    def stop() -> None:
        raise WaitsError

    try:
        cycle.admit(100, FAR, meanwhile=stop)
    except WaitsError:
        return True
    return False


@pytest.mark.parametrize("result", [Result.NETWORK, Result.TIMED_OUT, Result.PERMISSION_DENIED, Result.SERVER_ERROR])
def test_after_an_answer_that_proves_nothing_the_next_goes_alone_too(
    store: Store, clock: FixedClock, result: Result
) -> None:
    cycle = Gate("key", store, clock.clock).begin()
    cycle.settle(cycle.admit(100, FAR), failed(result))
    cycle.admit(100, FAR)
    assert waits_alone(cycle)


@pytest.mark.parametrize(
    "result", [Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED]
)
def test_after_a_refusal_nobody_asks_for_5_minutes_then_10_up_to_60(
    store: Store, clock: FixedClock, result: Result
) -> None:
    gate = Gate("key", store, clock.clock)
    waits = []
    for _ in range(7):
        cycle = gate.begin()
        cycle.settle(cycle.admit(100, FAR), failed(result))
        began = clock.at
        while True:
            clock.at += 60
            try:
                ticket = cycle.admit(100, FAR)
            except QueryError as error:
                assert (error.result, error.is_consequence) == (result, True)
            else:
                cycle.settle(ticket, failed(Result.NETWORK))
                break
        waits.append((clock.at - began) / 60)
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_a_clock_that_is_set_but_not_right_or_was_not_the_cause_ends_no_wait(store: Store, clock: FixedClock) -> None:
    for off, set_by in ((-7200.0, 0.0), (0.0, -3600.0)):
        cycle = Gate("key", store, clock.clock).begin()
        cycle.settle(cycle.admit(100, FAR), failed(Result.KEY_REFUSED, clock_off=off))
        clock.set_by(set_by)
        assert refused_with(Gate("key", store, clock.clock).begin()) == Result.KEY_REFUSED
        clock.at += 7200


@pytest.mark.parametrize(("told", "seconds"), [(7.0, 7), (None, 60), (0.0, 0), (7 * 86_400.0, 3600)])
def test_a_429_ends_the_cycles_calls_and_waits_as_told(
    store: Store, clock: FixedClock, told: Optional[float], seconds: int
) -> None:
    gate = Gate("key", store, clock.clock)
    cycle = gate.begin()
    cycle.settle(cycle.admit(100, FAR), failed(Result.THROTTLED, told))
    assert refused_with(cycle) == Result.THROTTLED
    if seconds:
        clock.at += seconds - 1
        assert refused_with(gate.begin()) == Result.THROTTLED
        assert refused_with(Gate("key", store, clock.clock).begin()) == Result.THROTTLED
        clock.at += 1
    gate.begin().admit(100, FAR)


def test_no_more_than_the_limit_leaves_within_any_minute_over_runs_too(store: Store, clock: FixedClock) -> None:
    sent: List[float] = []
    for _ in range(4):
        gate = Gate("key", store, clock.clock)
        cycle = gate.begin()
        for _ in range(8):
            ticket = cycle.admit(10, FAR)
            sent.append(clock.at)
            cycle.settle(ticket, None)
            clock.at += 0.5
        cycle.end({})
    for at in sent:
        assert sum(1 for other in sent if at <= other < at + 60) <= 10


def test_processes_that_run_at_once_keep_to_the_limit_together(store: Store, clock: FixedClock) -> None:
    went = 0
    for cycle in [Gate("key", store, clock.clock).begin() for _ in range(3)] * 5:
        try:
            cycle.settle(cycle.admit(10, clock.clock.monotonic() + 1), None)
        except QueryError as error:
            assert error.result == Result.OVER_RATE
        else:
            went += 1
    assert went == 10


def test_what_cannot_go_before_the_deadline_is_refused_without_waiting(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    cycle = gate.begin()
    for _ in range(3):
        cycle.settle(cycle.admit(3, FAR), None)
    with pytest.raises(QueryError, match="max_requests_per_minute lets 3 go") as refused:
        cycle.admit(3, clock.clock.monotonic() + 25)
    assert refused.value.result == Result.OVER_RATE
    assert clock.slept == []


def test_all_instances_of_a_key_share_one_gate(store: Store, clock: FixedClock) -> None:
    gates = Gates(store, clock.clock)
    assert gates.of(Credentials("a", "b")) is gates.of(Credentials("a", "b", "token"))
    assert gates.of(Credentials("a", "b")) is not gates.of(Credentials("ab", ""))


def test_keys_go_by_salted_digests_and_those_of_last_week_are_forgotten(tmp_path: Path, clock: FixedClock) -> None:
    names = set()
    for folder in ("one", "other"):
        path = tmp_path / folder / "s.sqlite3"
        gates = Gates(Store(lambda path=path: str(path), pytest.fail, clock.now), clock.clock)  # type: ignore[misc]
        for ak in ("last week's", "same"):
            gates.of(Credentials(ak, "sk")).begin().end({"where": "project"})
            clock.at += 8 * 86_400
        with sqlite3.connect(path) as file:
            (row,) = file.execute("SELECT name FROM entries WHERE kind = 'KeyEntry'")
        names.add(row)
    assert len(names) == 2


def test_a_request_that_hangs_past_its_deadline_holds_nobody_up_in_the_next_cycle(
    store: Store, clock: FixedClock
) -> None:
    gate = Gate("key", store, clock.clock)
    cycle = gate.begin()
    hung = cycle.admit(100, clock.clock.monotonic() + 25)
    clock.at += 60
    cycle = gate.begin()
    ticket = cycle.admit(100, clock.clock.monotonic() + 25)
    assert ticket != hung
    cycle.settle(ticket, None)
    cycle.settle(hung, failed(Result.NETWORK))
    cycle.admit(100, FAR)


def test_requests_that_hang_past_their_deadline_take_no_place_and_give_none(store: Store) -> None:
    time = Ticking()
    gate = Gate("key", store, time.clock)
    for _ in range(2):
        cycle = gate.begin()
        cycle.settle(cycle.admit(100, FAR), None)
        for _ in range(5):
            cycle.admit(100, time.at + 25, at_once=5)
        assert refused_with(cycle, time.at + 0.1) == Result.TIMED_OUT
        time.at += 26


def test_what_was_left_out_goes_first_next_time_whoever_comes_before_it_over_runs_too(
    store: Store, clock: FixedClock
) -> None:
    def cycle(turns: List[str]) -> List[str]:
        gate = Gate("key", store, clock.clock)
        cycle = gate.begin()
        went = []
        for turn in turns:
            try:
                cycle.settle(cycle.admit(2, clock.clock.monotonic() + 1, turn), None)
                went.append(turn)
            except QueryError as error:
                assert error.result == Result.OVER_RATE
        cycle.end({})
        clock.at += 300
        return went

    asked = ["a", "b", "c", "d", "e"]
    assert [cycle(asked) for _ in range(5)] == [["a", "b"], ["c", "d"], ["a", "e"], ["b", "c"], ["a", "d"]]


def test_what_a_full_minute_leaves_out_is_remembered_in_one_change_and_in_its_order(
    tmp_path: Path, clock: FixedClock
) -> None:
    writes: List[float] = []

    def now() -> float:
        writes.append(clock.at)
        return clock.at

    store = Store(lambda: str(tmp_path / "s.sqlite3"), pytest.fail, now)
    asked, went = [f"turn {n}" for n in range(100)], []
    for _ in range(3):
        cycle = Gate("key", store, clock.clock).begin()
        before = len(writes)
        for turn in asked:
            try:
                cycle.settle(cycle.admit(2, clock.clock.monotonic() + 25, turn), None)
                went.append(turn)
            except QueryError as error:
                assert error.result == Result.OVER_RATE
                assert "max_requests_per_minute lets 2 go" in str(error)
        cycle.end({})
        assert len(writes) - before < 10
        clock.at += 61
    assert went == ["turn 0", "turn 1", "turn 2", "turn 3", "turn 4", "turn 5"]


def test_who_can_wait_longer_than_a_full_minute_goes_although_others_were_left_out(
    store: Store, clock: FixedClock
) -> None:
    cycle = Gate("key", store, clock.clock).begin()
    for turn in ("a", "b"):
        cycle.settle(cycle.admit(2, FAR, turn), None)
    with pytest.raises(QueryError):
        cycle.admit(2, clock.clock.monotonic() + 25, "c")
    cycle.settle(cycle.admit(2, FAR, "c"), None)
    assert sum(clock.slept) == 61


def test_after_a_429_of_one_api_the_next_request_of_another_goes_alone(store: Store, clock: FixedClock) -> None:
    cycle = Gate("key", store, clock.clock).begin()
    cycle.settle(cycle.admit(100, FAR, api="iam"), None)
    cycle.settle(cycle.admit(100, FAR, api="iam"), failed(Result.THROTTLED, 30.0), "iam")
    cycle.admit(100, FAR)
    assert waits_alone(cycle)


@pytest.mark.parametrize("result", [Result.KEY_REFUSED, Result.THROTTLED])
def test_a_refusal_or_a_429_ends_the_wait_of_all_at_once_while_others_are_still_under_way(
    store: Store, result: Result
) -> None:
    cycle = Gate("key", store, Clock()).begin()
    cycle.settle(cycle.admit(100, FAR), None)
    tickets = [cycle.admit(100, FAR) for _ in range(5)]
    ended: List[Result] = []
    waiting = [threading.Thread(target=lambda: ended.append(refused_with(cycle)), daemon=True) for _ in range(9)]
    for thread in waiting:
        thread.start()
    cycle.settle(tickets[0], failed(result))
    for thread in waiting:
        thread.join(5)
    assert ended == [result] * 9


def test_two_sessions_that_end_with_different_projects_both_leave_theirs(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    one, other = gate.begin(), gate.begin()
    one.end({"here": "one"})
    other.end({"there": "two"})
    cycle = gate.begin()
    assert cycle.projects == {"here": "one", "there": "two"}
    cycle.end({"here": ""})
    assert gate.begin().projects == {"there": "two"}


def test_a_wait_names_the_refusal_that_it_follows_from(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    cycle = gate.begin()
    cycle.settle(cycle.admit(100, FAR), QueryError(Result.CLOCK_OFF, "the clock is 20 minutes ahead"))
    later = Gate("key", store, clock.clock).begin()
    with pytest.raises(QueryError, match=r"20 minutes ahead\. Retrying in 5 min") as refused:
        later.admit(100, FAR)
    assert (refused.value.result, refused.value.is_consequence) == (Result.CLOCK_OFF, True)


class Process:
    """Another process, in the middle of a cycle of the same key."""

    def __init__(self, path: Path, now: float) -> None:
        command = [sys.executable, other_process.__file__, str(path), str(now)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def told(self, word: str) -> None:
        """Tell it what to do next, and wait until it has."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path, clock: FixedClock) -> Iterator[Callable[[], Process]]:
    started: List[Process] = []

    def start() -> Process:
        started.append(Process(tmp_path / "s.sqlite3", clock.now()))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def other(start: Callable[[], Process]) -> Process:
    return start()


@pytest.fixture
def mine(tmp_path: Path, clock: FixedClock) -> Gate:
    """Make this process's gate of the same key."""
    return Gate("key", Store(lambda: str(tmp_path / "s.sqlite3"), pytest.fail), clock.clock)


def test_of_two_processes_at_once_only_one_asks_before_the_key_is_proven(
    other: Process, mine: Gate, clock: FixedClock
) -> None:
    cycle = mine.begin()
    other.told("ask")
    assert refused_with(cycle, clock.clock.monotonic() + 0.3) == Result.TIMED_OUT
    assert len(clock.slept) > 1
    other.told("KEY_REFUSED")
    assert refused_with(cycle) == Result.KEY_REFUSED


def test_a_process_that_is_killed_in_its_lone_request_holds_nobody_up(
    other: Process, start: Callable[[], Process], mine: Gate, clock: FixedClock
) -> None:
    cycle = mine.begin()
    other.told("ask")
    other.told("SERVER_ERROR")
    third = start()
    third.told("ask")
    third.kill()
    cycle.admit(100, FAR)
    assert clock.slept == []


def test_a_process_whose_cycle_ended_while_its_lone_request_hangs_holds_nobody_up(
    other: Process, mine: Gate, clock: FixedClock
) -> None:
    other.told("ask")
    other.told("end")
    mine.begin().admit(100, FAR)
    assert clock.slept == []


def test_a_process_that_hangs_in_its_lone_request_holds_the_others_up_until_its_deadline_only(
    other: Process, mine: Gate, clock: FixedClock
) -> None:
    other.told("ask")
    mine.begin().admit(100, FAR)
    assert sum(clock.slept) == pytest.approx(20, abs=0.1)


def test_a_throttle_of_one_process_does_not_undo_the_refusal_of_another(store: Store, clock: FixedClock) -> None:
    one, two = (Gate("key", store, clock.clock).begin() for _ in range(2))
    one.settle(one.admit(100, FAR), None)
    late = one.admit(100, FAR)
    two.settle(two.admit(100, FAR), failed(Result.KEY_REFUSED))
    one.settle(late, failed(Result.THROTTLED, 1.0))
    clock.at += 2
    assert refused_with(Gate("key", store, clock.clock).begin()) == Result.KEY_REFUSED


def test_of_two_throttles_at_once_the_longer_holds(store: Store, clock: FixedClock) -> None:
    cycle = Gate("key", store, clock.clock).begin()
    cycle.settle(cycle.admit(100, FAR), None)
    for ticket, told in [(cycle.admit(100, FAR), told) for told in (600.0, 5.0)]:
        cycle.settle(ticket, failed(Result.THROTTLED, told))
    clock.at += 599
    assert refused_with(Gate("key", store, clock.clock).begin()) == Result.THROTTLED
    clock.at += 2
    Gate("key", store, clock.clock).begin().admit(100, FAR)


def test_a_429_of_one_api_leaves_the_others_open_but_a_refusal_does_not(store: Store, clock: FixedClock) -> None:
    cycle = Gate("key", store, clock.clock).begin()
    cycle.settle(cycle.admit(100, FAR, api="iam"), failed(Result.THROTTLED, 30.0), "iam")
    assert refused_with(cycle, api="iam") == Result.THROTTLED
    cycle.settle(cycle.admit(100, FAR, api="statistics"), failed(Result.KEY_REFUSED), "statistics")
    assert refused_with(cycle, api="iam") == Result.KEY_REFUSED


def test_a_cycle_that_a_429_closed_stays_closed_whoever_begins_one_meanwhile(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    one, two = gate.begin(), gate.begin()
    one.settle(one.admit(100, FAR), failed(Result.THROTTLED, 0.0))
    later = gate.begin()
    assert refused_with(one) == refused_with(two) == Result.THROTTLED
    later.admit(100, FAR)


def test_a_cycle_that_begins_later_asks_alone_although_another_is_proven(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    one = gate.begin()
    one.settle(one.admit(100, FAR), None)
    hung = one.admit(100, clock.clock.monotonic() + 5)
    two = gate.begin()
    clock.at += 6
    two.admit(100, FAR)
    with pytest.raises(QueryError):
        two.admit(100, clock.clock.monotonic())
    assert hung in gate.in_flight


def test_no_more_requests_than_are_harmless_are_under_way_for_all_instances_of_a_key(store: Store) -> None:
    time = Ticking()
    cycle = Gate("key", store, time.clock).begin()
    cycle.settle(cycle.admit(100, FAR), None)
    tickets = [cycle.admit(100, FAR, at_once=4) for _ in range(5)]
    with pytest.raises(QueryError):
        cycle.admit(100, time.at + 0.1, at_once=4)
    cycle.admit(100, FAR, at_once=8)  # who asked for more gets more
    for ticket in tickets:
        cycle.settle(ticket, failed(Result.KEY_REFUSED))
    assert refused_with(cycle) == Result.KEY_REFUSED


def test_refusals_of_requests_under_way_at_once_make_one_wait_of_5_minutes(store: Store, clock: FixedClock) -> None:
    gate = Gate("key", store, clock.clock)
    cycle = gate.begin()
    cycle.settle(cycle.admit(100, FAR), None)
    for ticket in [cycle.admit(100, FAR) for _ in range(4)]:
        cycle.settle(ticket, failed(Result.KEY_REFUSED))
    clock.at += 301
    cycle = gate.begin()
    cycle.admit(100, FAR)
