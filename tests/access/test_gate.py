from __future__ import annotations

import subprocess
import threading
from typing import List, Optional

import pytest

from maas_usage_check.access.credentials import Credentials
from maas_usage_check.access.gate import Gate, Gates
from maas_usage_check.clock import Clock
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.store.store import Document, KeyEntry, MemoryState, State

from ..conftest import NOW

FAR = 1e9


class Time:
    """A clock that only moves when it is told to, or when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = NOW
        self.slept: List[float] = []
        self.clock = Clock(now=lambda: self.seconds, monotonic=lambda: self.seconds - NOW, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def state() -> State:
    return MemoryState()


def failed(result: Result, retry_after: Optional[float] = None) -> QueryError:
    return QueryError(result, "x", retry_after)


def refused_with(gate: Gate, give_up: float = FAR) -> Result:
    with pytest.raises(QueryError) as refused:
        gate.admit(100, give_up)
    return refused.value.result


def test_the_first_request_of_a_cycle_goes_alone_and_the_rest_follow_when_it_was_accepted(state: State) -> None:
    gate = Gate("key", state, Clock())
    gate.begin()
    ticket = gate.admit(100, FAR)
    through = threading.Semaphore(0)
    for _ in range(5):
        threading.Thread(target=lambda: (gate.admit(100, FAR), through.release()), daemon=True).start()
    assert not through.acquire(timeout=0.1)
    gate.settle(ticket, None)
    assert all(through.acquire(timeout=2) for _ in range(5))


@pytest.mark.parametrize("result", [Result.NETWORK, Result.TIMED_OUT, Result.PERMISSION_DENIED, Result.SERVER_ERROR])
def test_after_an_answer_that_proves_nothing_the_next_goes_alone_too(state: State, result: Result) -> None:
    gate = Gate("key", state, Clock())
    gate.begin()
    gate.settle(gate.admit(100, FAR), failed(result))
    gate.admit(100, FAR)
    assert refused_with(gate, Clock().monotonic() + 0.05) == Result.TIMED_OUT


@pytest.mark.parametrize(
    "result", [Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED]
)
def test_after_a_refusal_nobody_asks_for_5_minutes_then_10_up_to_60(state: State, time: Time, result: Result) -> None:
    gate = Gate("key", state, time.clock)
    waits = []
    for _ in range(7):
        gate.begin()
        gate.settle(gate.admit(100, FAR), failed(result))
        began = time.seconds
        while True:
            time.seconds += 60
            try:
                ticket = gate.admit(100, FAR)
            except QueryError as error:
                assert error.result == Result.BACKING_OFF
            else:
                gate.settle(ticket, failed(Result.NETWORK))
                break
        waits.append((time.seconds - began) / 60)
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_an_accepted_request_ends_the_row_of_refusals(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    for outcome in (failed(Result.KEY_REFUSED), failed(Result.KEY_REFUSED), None, failed(Result.KEY_REFUSED)):
        gate.begin()
        gate.settle(gate.admit(100, FAR), outcome)
        time.seconds += 3600
    time.seconds -= 3600 - 299
    assert refused_with(gate) == Result.BACKING_OFF
    time.seconds += 2
    gate.admit(100, FAR)


def test_an_answer_to_what_left_before_a_refusal_does_not_undo_it(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.settle(gate.admit(100, FAR), None)
    late = gate.admit(100, FAR)
    gate.settle(gate.admit(100, FAR), failed(Result.KEY_REFUSED))
    gate.settle(late, None)
    assert refused_with(gate) == Result.BACKING_OFF


def test_a_refusal_holds_for_the_next_run_and_not_for_another_key(state: State, time: Time) -> None:
    wrong, right = Credentials("ak", "wrong"), Credentials("ak", "right")
    gate = Gates(state, time.clock).of(wrong)
    gate.begin()
    gate.settle(gate.admit(100, FAR), failed(Result.KEY_REFUSED))
    later = Gates(state, time.clock)
    for key, held in ((wrong, True), (right, False)):
        gate = later.of(key)
        gate.begin()
        if held:
            assert refused_with(gate) == Result.BACKING_OFF
        else:
            gate.admit(100, FAR)


def test_no_wait_outlasts_its_longest_when_the_clock_was_set_back(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.settle(gate.admit(100, FAR), failed(Result.KEY_REFUSED))
    time.seconds -= 365 * 86_400
    gate = Gate("key", state, time.clock)
    gate.begin()
    time.seconds += 3601
    gate.admit(100, FAR)


@pytest.mark.parametrize(("told", "seconds"), [(7.0, 7), (None, 60), (0.0, 0)])
def test_a_429_ends_the_cycles_calls_and_waits_as_told(
    state: State, time: Time, told: Optional[float], seconds: int
) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.settle(gate.admit(100, FAR), failed(Result.THROTTLED, told))
    for current in (gate, Gate("key", state, time.clock)):
        current.begin()
        if seconds:
            assert refused_with(current) == Result.THROTTLED
    time.seconds += seconds
    gate.admit(100, FAR)


def test_no_more_than_the_limit_leaves_within_any_minute_over_runs_too(state: State, time: Time) -> None:
    sent: List[float] = []
    for _ in range(4):
        gate = Gate("key", state, time.clock)
        gate.begin()
        for _ in range(8):
            ticket = gate.admit(10, FAR)
            sent.append(time.seconds)
            gate.settle(ticket, None)
            time.seconds += 0.5
        gate.end({}, lambda document: None)
    for at in sent:
        assert sum(1 for other in sent if at <= other < at + 60) <= 10


def test_what_cannot_go_before_the_deadline_is_refused_without_waiting(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    for _ in range(3):
        gate.settle(gate.admit(3, FAR), None)
    with pytest.raises(QueryError, match="max_requests_per_minute is 3") as refused:
        gate.admit(3, time.clock.monotonic() + 25)
    assert refused.value.result == Result.OVER_RATE
    assert time.slept == []


def test_all_instances_of_a_key_share_one_gate(state: State, time: Time) -> None:
    gates = Gates(state, time.clock)
    assert gates.of(Credentials("a", "b")) is gates.of(Credentials("a", "b", "token"))
    assert gates.of(Credentials("a", "b")) is not gates.of(Credentials("ab", ""))


def test_the_state_holds_neither_key_nor_secret_and_forgets_keys_of_last_week(state: State, time: Time) -> None:
    gates = Gates(state, time.clock)
    for name in ("old-access-key", "new-access-key"):
        gate = gates.of(Credentials(name, "planted-secret"))
        gate.begin()
        gate.end({"where": "project"}, lambda document: None)
        document = state.update(lambda document: None)
        assert "access-key" not in str(document)
        assert "planted" not in str(document)
        time.seconds += 8 * 86_400
    assert len(document.keys) == 1


def test_a_request_that_hangs_past_its_deadline_holds_nobody_up_in_the_next_cycle(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    hung = gate.admit(100, time.clock.monotonic() + 25)
    time.seconds += 60
    gate.begin()
    ticket = gate.admit(100, time.clock.monotonic() + 25)
    assert ticket != hung
    gate.settle(ticket, None)
    gate.settle(hung, failed(Result.NETWORK))
    gate.admit(100, FAR)


def test_so_many_hang_at_once_that_all_refused_they_would_not_lock_the_key(state: State) -> None:
    gate = Gate("key", state, Clock())
    for _ in range(4):
        gate.begin()
        gate.admit(100, Clock().monotonic() + 0.05)
        threading.Event().wait(0.06)
    gate.begin()
    assert refused_with(gate, Clock().monotonic() + 0.1) == Result.TIMED_OUT


def test_what_was_left_out_goes_first_next_time_whoever_comes_before_it_over_runs_too(state: State, time: Time) -> None:
    def cycle(turns: List[str]) -> List[str]:
        gate = Gate("key", state, time.clock)
        gate.begin()
        went = []
        for turn in turns:
            try:
                gate.settle(gate.admit(2, time.clock.monotonic() + 1, turn), None)
                went.append(turn)
            except QueryError as error:
                assert error.result == Result.OVER_RATE
        gate.end({}, lambda document: None)
        time.seconds += 300
        return went

    asked = ["a", "b", "c", "d", "e"]
    assert [cycle(asked) for _ in range(5)] == [["a", "b"], ["c", "d"], ["a", "e"], ["b", "c"], ["a", "d"]]


def test_what_was_left_out_and_is_asked_no_more_holds_nobody_up_for_long(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    for turns in (["a", "b"], ["c"]):
        gate.begin()
        for turn in turns:
            try:
                gate.settle(gate.admit(1, time.clock.monotonic() + 1, turn), None)
            except QueryError as error:
                assert "max_requests_per_minute is 1" in str(error)
        time.seconds += 901
    gate.begin()
    gate.admit(1, FAR, "c")


def test_two_sessions_that_end_with_different_projects_both_leave_theirs(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.begin()
    gate.end({"here": "one"}, lambda document: None)
    gate.end({"there": "two"}, lambda document: None)
    assert gate.begin() == {"here": "one", "there": "two"}
    gate.end({"here": ""}, lambda document: None)
    assert gate.begin() == {"there": "two"}


def test_a_wait_names_the_refusal_that_it_follows_from(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.settle(gate.admit(100, FAR), QueryError(Result.CLOCK_OFF, "the clock is 20 minutes ahead"))
    later = Gate("key", state, time.clock)
    later.begin()
    with pytest.raises(QueryError, match=r"another 5 min.*20 minutes ahead") as refused:
        later.admit(100, FAR)
    assert (refused.value.result, refused.value.cause) == (Result.BACKING_OFF, Result.CLOCK_OFF)


def test_of_two_processes_at_once_only_one_asks_before_the_key_is_proven(state: State, time: Time) -> None:
    one, other = (Gate("key", state, time.clock) for _ in range(2))
    one.begin()
    other.begin()
    ticket = one.admit(100, FAR)
    with pytest.raises(QueryError):
        other.admit(100, time.clock.monotonic() + 1)
    one.settle(ticket, failed(Result.KEY_REFUSED))
    assert refused_with(other) == Result.BACKING_OFF


def test_a_lone_request_of_a_process_that_was_killed_holds_the_others_up_until_its_deadline_only(
    state: State, time: Time
) -> None:
    Gate("key", state, time.clock).admit(100, time.clock.monotonic() + 25)
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.admit(100, FAR)
    assert 25 <= sum(time.slept) < 26


def test_a_process_that_was_killed_holds_nobody_up(state: State, time: Time) -> None:
    def claim(document: Document) -> None:
        document.keys["key"] = KeyEntry(probe=f"{dead.pid}-x", probe_until=time.seconds + 25, seen=time.seconds)

    dead = subprocess.Popen(["true"])
    dead.wait()
    state.update(claim)
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.admit(100, FAR)
    assert time.slept == []


def test_a_throttle_of_one_process_does_not_undo_the_refusal_of_another(state: State, time: Time) -> None:
    one, other = (Gate("key", state, time.clock) for _ in range(2))
    ticket = one.admit(100, FAR)
    one.settle(ticket, None)
    late = one.admit(100, FAR)
    other.settle(other.admit(100, FAR), failed(Result.KEY_REFUSED))
    one.settle(late, failed(Result.THROTTLED, 1.0))
    time.seconds += 2
    gate = Gate("key", state, time.clock)
    gate.begin()
    assert refused_with(gate) == Result.BACKING_OFF


def test_processes_that_run_at_once_keep_to_the_limit_together(state: State, time: Time) -> None:
    gates = [Gate("key", state, time.clock) for _ in range(3)]
    for gate in gates:
        gate.begin()
        gate.settle(gate.admit(10, FAR), None)
    left = 0
    for gate in gates * 5:
        try:
            gate.settle(gate.admit(10, time.clock.monotonic() + 1), None)
        except QueryError as error:
            assert error.result == Result.OVER_RATE
        else:
            left += 1
    assert left == 7


def test_no_more_requests_than_are_harmless_are_under_way_for_all_instances_of_a_key(state: State) -> None:
    gate = Gate("key", state, Clock())
    gate.begin()
    gate.settle(gate.admit(100, FAR), None)
    tickets = [gate.admit(100, FAR, at_once=4) for _ in range(5)]
    with pytest.raises(QueryError):
        gate.admit(100, Clock().monotonic() + 0.05, at_once=4)
    gate.admit(100, FAR, at_once=8)  # who asked for more gets more
    for ticket in tickets:
        gate.settle(ticket, failed(Result.KEY_REFUSED))
    assert refused_with(gate) == Result.BACKING_OFF


def test_refusals_of_requests_under_way_at_once_make_one_wait_of_5_minutes(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.settle(gate.admit(100, FAR), None)
    for ticket in [gate.admit(100, FAR) for _ in range(4)]:
        gate.settle(ticket, failed(Result.KEY_REFUSED))
    time.seconds += 301
    gate.begin()
    gate.admit(100, FAR)


def test_a_429_that_names_no_time_to_wait_ends_the_cycle_all_the_same(state: State, time: Time) -> None:
    gate = Gate("key", state, time.clock)
    gate.begin()
    gate.settle(gate.admit(100, FAR), failed(Result.THROTTLED, 0.0))
    assert refused_with(gate) == Result.THROTTLED
    gate.begin()
    gate.admit(100, FAR)


def test_a_clock_that_was_ahead_and_is_set_right_holds_nobody_up(state: State, time: Time) -> None:
    for result, hours in ((Result.CLOCK_OFF, 0), (Result.KEY_REFUSED, 2)):
        time.seconds += 24 * 3600
        gate = Gate("key", state, time.clock)
        gate.begin()
        gate.settle(gate.admit(100, FAR), failed(result))
        time.seconds -= 24 * 3600
        for _ in range(hours):
            Gate("key", state, time.clock).begin()
            time.seconds += 3600
        gate = Gate("key", state, time.clock)
        gate.begin()
        gate.settle(gate.admit(100, FAR), None)
