"""Waits after refusals and after a 429: one below each limit, at it, one above."""

from __future__ import annotations

import contextlib
from typing import Optional

import pytest

from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling.circuit_breaker import UNKNOWN, raise_if_open, record, reset_if_clock_fixed
from maas_usage_check.scheduling.key_state import KeyEntry
from maas_usage_check.state import Store

from ..fixed_clock import MONDAY, FixedClock
from .account import Account

AT = int(MONDAY)
REFUSED = QueryError(Result.KEY_REFUSED, "x")


@pytest.mark.parametrize(
    ("refusals", "wait_s"), [(0, 300), (1, 600), (2, 1200), (3, 2400), (4, 3600), (5, 3600), (10_000, 3600)]
)
def test_waits(refusals: int, wait_s: int) -> None:
    entry = KeyEntry(refusals=refusals)
    record(entry, "statistics", REFUSED, AT, 0.0)
    assert (entry.refusals, entry.not_before) == (refusals + 1, AT + wait_s)


@pytest.mark.parametrize(("after", "refusals"), [(299.999, 1), (300, 2)])
def test_refusals_of_one_wait(after: float, refusals: int) -> None:
    """A refusal during the wait was in flight before it began: it lengthens nothing."""
    entry = KeyEntry()
    record(entry, "statistics", REFUSED, AT, 0.0)
    record(entry, "statistics", QueryError(Result.KEY_LOCKED, "y"), AT + after, after)
    assert entry.refusals == refusals
    assert entry.not_before == AT + (300 if refusals == 1 else 300 + 600)
    assert (entry.cause, entry.why) == (Result.KEY_LOCKED, "y")


@pytest.mark.parametrize(("after", "refusals"), [(299.999, 1), (300, 0), (300.001, 0)])
def test_success_after_a_wait(after: float, refusals: int) -> None:
    """A success ends the row of refusals once their wait is over."""
    entry = KeyEntry()
    record(entry, "statistics", REFUSED, AT, 0.0)
    record(entry, "statistics", "answer", AT + after, after)
    assert entry.refusals == refusals
    assert (entry.not_before == 0) == (refusals == 0)


def test_failure_that_does_not_verify() -> None:
    """It does not end the row: the next refusal waits longer."""
    entry = KeyEntry()
    record(entry, "statistics", REFUSED, AT, 0.0)
    record(entry, "statistics", QueryError(Result.NETWORK, "x"), AT + 300, 300.0)
    record(entry, "statistics", REFUSED, AT + 301, 301.0)
    assert entry.not_before == AT + 301 + 600


@pytest.mark.parametrize(
    ("told", "wait_s"), [(None, 60), (0.0, 0), (7.0, 7), (3599.0, 3599), (3600.0, 3600), (3601.0, 3600)]
)
def test_wait_after_a_429(told: Optional[float], wait_s: int) -> None:
    entry = KeyEntry()
    record(entry, "iam", QueryError(Result.THROTTLED, "x", told), AT, 0.0)
    assert entry.throttled == {"iam": AT + wait_s}
    assert (entry.refusals, entry.not_before) == (0, 0)


@pytest.mark.parametrize("first", [600.0, 5.0])
def test_longer_of_two_throttles(first: float) -> None:
    entry = KeyEntry()
    for told in (first, 605.0 - first):
        record(entry, "iam", QueryError(Result.THROTTLED, "x", told), AT, 0.0)
    assert entry.throttled == {"iam": AT + 600}


@pytest.mark.parametrize(
    ("clock_off", "set_by", "ends"),
    [
        (None, 899.999, False),
        (None, 900, False),
        (None, 900.001, True),
        (None, -900, False),
        (None, -900.001, True),
        (0.0, -3600, False),
        (899, -899, False),
        (900, -900, False),
        (900.5, -900.5, True),
        (-900.5, 900.5, True),
        (1800, 0, False),
        (1800, -899.5, False),
        (1800, -900, True),
        (1800, -2700, True),
        (1800, -2700.5, False),
        (-1800, 899.5, False),
        (-1800, 900, True),
    ],
)
def test_clock_that_was_set(clock_off: Optional[float], set_by: float, ends: bool) -> None:
    """A refusal's wait ends where the clock was wrong by more than 15 minutes and is right by 15 now.

    Where the cloud's time is not known it ends if the clock was set by more than 15 minutes.
    """
    entry = KeyEntry(not_before=AT + 300, clock_off=clock_off, clock_zero=AT - 1000)
    reset_if_clock_fixed(entry, AT + set_by, 1000.0)
    assert (entry.not_before == 0) == ends


@pytest.mark.parametrize("clock_off", [None, 3600.0])
def test_clock_after_a_refusal(clock_off: Optional[float]) -> None:
    """The refusal remembers both clocks; as time goes on, neither was set."""
    entry = KeyEntry()
    record(entry, "iam", QueryError(Result.CLOCK_OFF, "x", clock_off=clock_off), AT, 50.0)
    reset_if_clock_fixed(entry, AT + 299, 349.0)
    assert entry.not_before == AT + 300
    reset_if_clock_fixed(entry, AT + 299 - 3600, 349.0)
    assert entry.not_before == 0


@pytest.mark.parametrize(("until", "cut"), [(3599, 3599), (3600, 3600), (3601, 3600), (10**9, 3600)])
def test_longest_wait(until: int, cut: int) -> None:
    """No wait is longer than an hour, also where the clock was set back since."""
    entry = KeyEntry(not_before=AT + until, throttled={"statistics": AT + until}, clock_zero=AT)
    reset_if_clock_fixed(entry, AT, 0.0)
    assert entry.not_before == AT + cut
    assert entry.throttled == {"statistics": AT + cut}


@pytest.mark.parametrize(("until", "stays"), [(-0.5, False), (0, False), (0.5, True)])
def test_end_of_a_throttle(until: float, stays: bool) -> None:
    entry = KeyEntry(throttled={"iam": AT + until})
    with contextlib.nullcontext() if not stays else pytest.raises(QueryError, match="rate limit"):
        raise_if_open(entry, "iam", AT)
    raise_if_open(entry, "statistics", AT)
    reset_if_clock_fixed(entry, AT, 0.0)
    assert bool(entry.throttled) == stays


def test_throttled_cycle() -> None:
    """A 429 without a wait still ends the cycle's calls of its API."""
    with pytest.raises(QueryError) as throttled:
        raise_if_open(KeyEntry(), "iam", AT, throttled=True)
    assert (throttled.value.result, throttled.value.is_consequence) == (Result.THROTTLED, True)
    assert "no requests in this cycle and for 0 s" in str(throttled.value)


@pytest.mark.parametrize(
    ("left_s", "minutes"), [(0.001, 1), (59.999, 1), (60, 1), (60.001, 2), (300, 5), (3599, 60), (3600, 60)]
)
def test_minutes_of_a_wait(left_s: float, minutes: int) -> None:
    entry = KeyEntry(not_before=AT, cause=int(Result.KEY_LOCKED), why="locked", clock_off=1.5)
    with pytest.raises(QueryError, match=rf"^locked\. Retrying in {minutes} min to avoid a lockout") as waiting:
        raise_if_open(entry, "statistics", AT - left_s)
    error = waiting.value
    assert (error.result, error.is_consequence, error.clock_off) == (Result.KEY_LOCKED, True, 1.5)
    raise_if_open(entry, "statistics", AT)


@pytest.mark.parametrize("cause", [0, 99])
def test_unknown_cause(cause: int) -> None:
    """A state from another version may hold a cause that this one does not know, or none."""
    with pytest.raises(QueryError, match=UNKNOWN) as waiting:
        raise_if_open(KeyEntry(not_before=AT, cause=cause), "statistics", AT - 1)
    assert waiting.value.result == Result.BACKING_OFF


def test_throttle_and_refusal(clock: FixedClock) -> None:
    """A 429 in one process does not undo the refusal in another; the refusal closes all APIs."""
    store = Store()
    one, other = Account(clock, store), Account(clock, store)
    one.submit(one.group(), "a", "b", "c")
    one.send()
    late = one.next()
    assert late is not None
    other.submit(other.group(), "d")
    assert other.send(Result.KEY_REFUSED) == "d"
    one.end(late, QueryError(Result.THROTTLED, "x", 1.0))
    clock.at += 2
    third = Account(clock, store)
    third.submit(third.group(), "e")
    third.submit(third.group(), "f", api="iam")
    assert third.next() is None
    assert third.errors() == [Result.KEY_REFUSED] * 2


def test_429_of_one_api(clock: FixedClock) -> None:
    """After it the next request of another API goes alone."""
    account = Account(clock)
    group = account.group()
    account.submit(group, "a", "b", api="iam")
    account.send()
    account.send(Result.THROTTLED)
    account.submit(group, "c", "d")
    assert account.next() is not None
    assert account.next() is None
