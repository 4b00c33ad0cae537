"""Each limit of the key's gate: one below it, at it, one above."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import List, Optional

import pytest

from maas_usage_check.cloud.credentials import from_file
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gate, Pass, circuit_breaker, probe, rate_limiter, slots
from maas_usage_check.scheduling.key_state import KeyEntry, Salt
from maas_usage_check.scheduling.slots import Places
from maas_usage_check.state import Store

from ..fixed_clock import MONDAY, FixedClock

FAR = 1e9
AT = int(MONDAY)


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
    assert f"Retrying in {minutes} min to avoid a lockout" in str(refused(cycle))


@pytest.mark.parametrize(("seconds", "proven"), [(-61, False), (-60, False), (-59, True), (0, True), (1, False)])
def test_age_of_a_proof(clock: FixedClock, seconds: int, proven: bool) -> None:
    """Another process's proof counts for a minute, and not at all where it lies in the future."""
    store = Store()
    other = Gate("key", store, FixedClock(MONDAY + seconds).clock).begin()
    other.settle(other.admit(100, FAR), None)
    cycle = Gate("key", store, clock.clock).begin()
    cycle.admit(100, FAR)
    give_up = clock.clock.monotonic() + 10
    with contextlib.nullcontext() if proven else pytest.raises(QueryError, match="not sent"):
        cycle.admit(100, give_up, meanwhile=lambda: clock.sleep(10))


class Taken(Store):
    """A store whose locks another process holds."""

    def acquire(self, name: str) -> bool:
        return False


@pytest.mark.parametrize(("until", "free"), [(0, True), (1, False), (3600, False), (3601, True)])
def test_claim_of_another_process(until: int, free: bool) -> None:
    """It holds until its time, unless that is farther than the longest wait: the clock was set back since."""
    assert probe.claim(Taken(), "key", KeyEntry(lone_until=AT + until), FAR, AT) == free


@pytest.mark.parametrize(("proven", "at_once", "waited"), [(True, 2, [10]), (True, 3, []), (False, 3, [20])])
def test_which_request_is_waited_for(
    clock: FixedClock, monkeypatch: pytest.MonkeyPatch, proven: bool, at_once: int, waited: List[float]
) -> None:
    """Who may go beside others waits for the first of them to end, who must go alone for the last."""

    class Condition(threading.Condition):
        def wait(self, timeout: Optional[float] = None) -> bool:
            clock.sleep(timeout or 0.0)
            return False

    monkeypatch.setattr(slots, "threading", SimpleNamespace(Condition=Condition, RLock=threading.RLock))
    queue, now = Places(clock.clock), clock.clock.monotonic()
    for seconds in (20, 10):
        queue.take(now + seconds, 2, lambda: True, lambda: None)
    queue.take(FAR, at_once, lambda: proven, lambda: None)
    assert clock.slept == pytest.approx(waited)


@pytest.mark.parametrize(("age", "wait"), [(-1, 0.0), (0, 61.0), (30, 31.0), (60.5, 0.5), (61, 30.0), (91, 0.0)])
def test_window_of_the_rate(age: float, wait: float) -> None:
    """A request counts for 61 s, and not at all where it lies in the future."""
    assert rate_limiter.wait(KeyEntry(sent={AT: 1, AT + 30: 1}), "t", 1, 0, AT + age) == wait


@pytest.mark.parametrize(
    ("turn", "per_minute", "kept", "sent", "background", "goes"),
    [
        ("t", 10, 1, 8, 0, True),
        ("t", 10, 1, 9, 0, False),
        ("t", 10, 1, 9, 1, True),
        ("t", 10, 1, 10, 2, False),
        ("t", 10, 10, 0, 0, True),
        ("t", 10, 10, 1, 0, False),
        (None, 20, 15, 4, 4, True),
        (None, 20, 15, 5, 1, True),
        (None, 20, 15, 5, 2, False),
        (None, 20, 15, 20, 0, False),
        (None, 11, 11, 1, 1, True),
        (None, 11, 11, 2, 2, False),
        (None, 10, 10, 1, 1, False),
    ],
)
def test_share_of_the_rate(
    turn: Optional[str], per_minute: int, kept: int, sent: int, background: int, goes: bool
) -> None:
    """What is kept for the other kind stays free, but for one request of the foreground and a tenth of the rate."""
    entry = KeyEntry(sent={AT: sent}, spare={AT: background})
    assert (rate_limiter.wait(entry, turn, per_minute, kept, AT) == 0) == goes
    if turn:
        assert rate_limiter.is_full(entry, per_minute, kept, AT) != goes


@pytest.mark.parametrize(("age", "before"), [(-1, 0), (0, 1), (899, 1), (900, 0)])
def test_age_of_a_deferred_query(age: int, before: int) -> None:
    assert rate_limiter.ahead(KeyEntry(left_out={"a": AT}), "b", AT + age) == before


def test_deferred_again_keeps_its_place() -> None:
    entry = KeyEntry(left_out={"a": AT})
    rate_limiter.leave_out(entry, ["b", "a"], AT + 1)
    assert entry.left_out == {"a": AT, "b": AT + 1}
    rate_limiter.take(entry, "a", AT + 2)
    assert entry.left_out == {"b": AT + 1}


@pytest.mark.parametrize(
    ("clock_off", "set_by", "ends"),
    [
        (None, 900, False),
        (None, 901, True),
        (None, -901, True),
        (900, -900, False),
        (901, -901, True),
        (1800, -899, False),
        (1800, -900, True),
        (-1800, 900, True),
    ],
)
def test_clock_that_was_set(clock_off: Optional[float], set_by: float, ends: bool) -> None:
    """A refusal's wait ends where the clock was wrong by more than 15 minutes and is right by 15 now."""
    entry = KeyEntry(not_before=AT + 300, clock_off=clock_off)
    circuit_breaker.mend_clock(entry, AT + set_by, AT)
    assert (entry.not_before == 0) == ends


def test_longest_wait() -> None:
    """No wait is longer than an hour, also where the clock was set back since."""
    entry = KeyEntry(not_before=AT + 3601, throttled={"statistics": AT + 3601, "cloud_eye": AT + 1, "iam": AT})
    circuit_breaker.mend_clock(entry, AT, AT)
    assert entry.not_before == AT + 3600
    assert entry.throttled == {"statistics": AT + 3600, "cloud_eye": AT + 1}


@pytest.mark.parametrize(("seconds", "shut"), [(59, True), (60, False)])
def test_end_of_a_429(clock: FixedClock, seconds: int, shut: bool) -> None:
    gate = Gate("key", Store(), clock.clock)
    cycle = gate.begin()
    cycle.settle(cycle.admit(100, FAR), QueryError(Result.THROTTLED, "x"))
    later = gate.begin()
    clock.at += seconds
    assert (refused(later) is not None) == shut


@pytest.mark.parametrize("cause", [0, 99])
def test_cause_that_is_not_known(cause: int) -> None:
    entry = KeyEntry(not_before=AT, cause=cause)
    with pytest.raises(QueryError) as waiting:
        circuit_breaker.raise_if_shut(entry, "statistics", AT - 1, False)
    assert waiting.value.result == Result.BACKING_OFF
    circuit_breaker.raise_if_shut(entry, "statistics", AT, False)


def test_entry_of_memory_and_file() -> None:
    """Of waits and counts the larger holds, of projects the one that was found last."""
    one = KeyEntry(refusals=2, not_before=AT + 1, throttled={"a": 1, "b": 2}, sent={AT: 1}, projects={"x": "1"})
    other = KeyEntry(refusals=1, not_before=AT, throttled={"a": 2}, sent={AT: 2}, projects={"x": "2"})
    for joined in (one.merge(other), other.merge(one)):
        assert (joined.refusals, joined.not_before) == (2, AT + 1)
        assert (joined.throttled, joined.sent) == ({"a": 2, "b": 2}, {AT: 2})
    assert one.merge(other).projects == {"x": "2"}
    assert [Salt(value).merge(Salt("memory")).value for value in ("file", "")] == ["file", "memory"]


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_largest_credentials_file(tmp_path: Path, more: int, fits: bool) -> None:
    path = tmp_path / "keys"
    path.write_text("A,B\n#".ljust(65_536 + more, "#"))
    with contextlib.nullcontext() if fits else pytest.raises(QueryError, match="has none of the three shapes"):
        assert from_file(str(path)).ak == "A"
