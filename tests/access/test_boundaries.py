"""Each limit of the key's gate: one below it, at it, one above."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import List, Optional

import pytest

from maas_usage_check.access import Gate, Pass, places
from maas_usage_check.access.places import Places
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.store import Store

from ..fixed_clock import MONDAY, FixedClock

FAR = 1e9


def refused(cycle: Pass) -> Optional[QueryError]:
    """Ask for leave; return why there is none."""
    try:
        cycle.admit(100, FAR)
    except QueryError as error:
        return error
    return None


@pytest.mark.parametrize(("seconds", "minutes"), [(299, 10), (300, 5), (301, 5)])
def test_success_clears_the_wait(clock: FixedClock, seconds: int, minutes: int) -> None:
    """A success ends the row of refusals once their wait is over, although its request did not go alone."""
    cycle = Gate("key", Store(), clock.clock).begin()
    cycle.settle(cycle.admit(100, FAR), None)
    beside = cycle.admit(100, FAR)
    cycle.settle(cycle.admit(100, FAR), QueryError(Result.KEY_REFUSED, "x"))
    clock.at += seconds
    cycle.settle(beside, None)
    clock.at += 301 - seconds
    cycle.settle(cycle.admit(100, FAR), QueryError(Result.KEY_REFUSED, "x"))
    assert f"nothing is asked for another {minutes} min" in str(refused(cycle))


@pytest.mark.parametrize(("seconds", "proven"), [(-61, False), (-60, False), (-59, True), (0, True), (1, False)])
def test_age_of_a_proof(clock: FixedClock, seconds: int, proven: bool) -> None:
    """Another process's proof counts for a minute, and not at all where it lies in the future."""
    store = Store()
    other = Gate("key", store, FixedClock(MONDAY + seconds).clock).begin()
    other.settle(other.admit(100, FAR), None)
    cycle = Gate("key", store, clock.clock).begin()
    cycle.admit(100, FAR)
    give_up = clock.clock.monotonic() + 10
    with contextlib.nullcontext() if proven else pytest.raises(QueryError, match="the deadline came before its turn"):
        cycle.admit(100, give_up, meanwhile=lambda: clock.sleep(10))


@pytest.mark.parametrize(("proven", "at_once", "waited"), [(True, 2, [10]), (True, 3, []), (False, 3, [20])])
def test_which_request_is_waited_for(
    clock: FixedClock, monkeypatch: pytest.MonkeyPatch, proven: bool, at_once: int, waited: List[float]
) -> None:
    """Who may go beside others waits for the first of them to end, who must go alone for the last."""

    class Condition(threading.Condition):
        def wait(self, timeout: Optional[float] = None) -> bool:
            clock.sleep(timeout or 0.0)
            return False

    monkeypatch.setattr(places, "threading", SimpleNamespace(Condition=Condition, RLock=threading.RLock))
    queue, now = Places(clock.clock), clock.clock.monotonic()
    for seconds in (20, 10):
        queue.take(now + seconds, 2, lambda: True, lambda: None)
    queue.take(FAR, at_once, lambda: proven, lambda: None)
    assert clock.slept == pytest.approx(waited)
