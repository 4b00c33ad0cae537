"""The decision which request goes next, without a thread."""

from __future__ import annotations

import math
from typing import List, Optional

import pytest

from maas_usage_check.cloud.outcomes import API, EFFECTS, KEY
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Priority

from ..conftest import FixedClock
from .account import Account

REFUSALS = [result for result, effect in EFFECTS.items() if effect.opens == KEY]


@pytest.fixture
def account(clock: FixedClock) -> Account:
    return Account(clock)


def verified(account: Account, **keys: float) -> Account:
    """Begin a cycle whose first request has verified the key."""
    group = account.group(**keys)
    account.submit(group, "first")
    account.send()
    return account


def test_priorities(account: Account) -> None:
    """The most urgent goes first, among equals in their order."""
    group = account.group()
    for priority in reversed(Priority):
        account.submit(group, f"{priority.name} 1", f"{priority.name} 2", priority=priority)
    sent = [account.send() for _ in range(2 * len(Priority))]
    assert sent == [f"{priority.name} {i}" for priority in Priority for i in (1, 2)]


@pytest.mark.parametrize("concurrency", [1, 2, 4, 8])
def test_concurrency(clock: FixedClock, concurrency: int) -> None:
    """One request verifies the key, then `concurrency` are in flight."""
    account = Account(clock, concurrency=concurrency)
    group = account.group()
    account.submit(group, *"abcdefghij")
    probe = account.next()
    assert probe is not None
    assert account.next() is None
    account.end(probe)
    in_flight = [account.next() for _ in range(concurrency)]
    assert None not in in_flight
    assert account.next() is None
    account.end(in_flight[0])  # type: ignore[arg-type]
    assert account.next() is not None


@pytest.mark.parametrize("result", [result for result in Result if result not in (Result.OK, Result.PARTIAL)])
def test_verification(account: Account, result: Result) -> None:
    """After a result that does not verify the key, the next request goes alone; after a refusal none goes."""
    group = account.group(retries_s=())
    account.submit(group, "a", "b", "c", "d")
    account.send(result)
    in_flight = [account.next() for _ in range(3)]
    effect = EFFECTS[result]
    sent = 0 if effect.opens else 3 if effect.verifies else 1
    assert sum(request is not None for request in in_flight) == sent


def test_each_result_has_effects() -> None:
    """The table is complete, and what opens the breaker or is deferred is never tried again."""
    assert set(EFFECTS) == set(Result)
    for effect in EFFECTS.values():
        assert not (effect.opens and (effect.retry or effect.verifies))
        assert not (effect.deferred and effect.retry)
    assert [result for result, effect in EFFECTS.items() if effect.opens == API] == [Result.THROTTLED]


def test_verified_key_is_verified_again_in_the_next_cycle(account: Account) -> None:
    """Between two cycles the key may have been revoked."""
    group = account.group()
    account.submit(group, "a")
    account.send()
    account.queue.close(group, {})
    group = account.group()
    account.submit(group, "b", "c")
    assert account.next() is not None
    assert account.next() is None


@pytest.mark.parametrize(("after", "in_flight"), [(59.999, 2), (60.0, 1)])
def test_verification_ends(account: Account, after: float, in_flight: int) -> None:
    """Within a cycle too: it may have waited for the rate, and the key may have been revoked meanwhile."""
    group = account.group(100)
    account.submit(group, "a", "b", "c")
    account.send()
    account.clock.at += after
    assert sum(account.next() is not None for _ in range(2)) == in_flight


@pytest.mark.parametrize("result", REFUSALS)
def test_waits_after_refusals(account: Account, result: Result) -> None:
    """Nothing is sent for 5 minutes, then 10, up to 60, also while other requests were in flight."""
    waits = []
    for _ in range(7):
        group = account.group(1e9, retries_s=())
        account.submit(group, "a")
        account.send(result)
        began = account.clock.at
        while True:
            account.clock.at += 60
            account.submit(group, "b")
            if account.send(Result.NETWORK):
                break
            assert account.errors()[-1] == result
        account.queue.close(group, {})
        waits.append((account.clock.at - began) / 60)
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_refusals_in_flight_together_count_once(account: Account) -> None:
    verified(account)
    group = account.group()
    account.submit(group, *"abcd")
    in_flight = [account.next() for _ in range(4)]
    for request in in_flight:
        assert request is not None
        account.end(request, Result.KEY_REFUSED)
    assert account.key.entry.refusals == 1


def test_answer_after_a_refusal(account: Account) -> None:
    """An answer to a request that was sent before a refusal does not close the breaker."""
    verified(account)
    group = account.group()
    account.submit(group, *"abc")
    one, two = account.next(), account.next()
    assert one is not None
    assert two is not None
    account.end(one, Result.KEY_REFUSED)
    account.end(two)
    assert account.next() is None
    assert account.errors() == [Result.KEY_REFUSED] * 2


def test_wait_names_its_refusal(account: Account) -> None:
    group = account.group()
    account.submit(group, "a", "b")
    account.send(QueryError(Result.CLOCK_OFF, "the clock is 20 minutes ahead"))
    assert account.next() is None
    error = account.ended[-1][1]
    assert "20 minutes ahead. Retrying in 5 min" in str(error)
    assert (error.result, error.is_consequence) == (Result.CLOCK_OFF, True)


@pytest.mark.parametrize(("told", "seconds"), [(7.0, 7), (None, 60), (7 * 86_400.0, 3600)])
def test_429(account: Account, told: Optional[float], seconds: int) -> None:
    """It ends the calls of that API in every running cycle, and the wait is as long as told."""
    verified(account, seconds=1e9)
    one, other = account.group(1e9), account.group(1e9)
    account.submit(one, "a", "b")
    account.submit(other, "c")
    account.submit(other, "iam", api="iam")
    account.send(QueryError(Result.THROTTLED, "x", told))
    assert account.send() == "iam"
    assert account.next() is None
    assert account.errors() == [Result.THROTTLED] * 3
    account.clock.at += seconds - 1
    for group, left in ((account.group(), seconds - 1), (account.group(), seconds)):
        account.submit(group, f"after {left}")
        assert account.send() == (f"after {left}" if left == seconds else None)
        account.clock.at += 1
    account.submit(one, "the same cycle")
    assert account.send() is None


def test_longer_of_two_throttles_holds(account: Account) -> None:
    verified(account)
    group = account.group()
    account.submit(group, "a", "b")
    for request, told in ((account.next(), 600.0), (account.next(), 5.0)):
        assert request is not None
        account.end(request, QueryError(Result.THROTTLED, "x", told))
    account.clock.at += 599
    group = account.group()
    account.submit(group, "c")
    assert account.send() is None
    account.clock.at += 1
    account.submit(account.group(), "d")
    assert account.send() == "d"


@pytest.mark.parametrize("result", Result)
def test_retries(account: Account, result: Result) -> None:
    """A failure that may pass is tried three times; the pauses are 0.5 and 1 s, spread by half."""
    group = account.group()
    account.submit(group, "a")
    times: List[float] = []
    while group.pending and len(times) < 9:
        request = account.next()
        if request is None:
            assert 0 < account.queue.pause_s < math.inf
            account.clock.sleep(account.queue.pause_s)
            continue
        times.append(account.clock.at)
        account.end(request, result)
    assert len(times) == (3 if EFFECTS[result].retry else 1)
    for pause, (one, two) in zip((0.5, 1.0), zip(times, times[1:])):
        assert pause * 0.5 <= two - one <= pause * 1.5


@pytest.mark.parametrize(
    ("left", "pauses"), [(0.7, []), (0.75, []), (0.8, [0.75]), (2.2, [0.75]), (2.3, [0.75, 1.5]), (25, [0.75, 1.5])]
)
def test_pauses(account: Account, monkeypatch: pytest.MonkeyPatch, left: float, pauses: List[float]) -> None:
    """A retry that would come at the deadline or later is not waited for; the outcome is the failure before it."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    group = account.group(left)
    account.submit(group, "a")
    account.send(Result.NETWORK)
    waited = []
    while group.pending:
        waited.append(account.queue.pause_s if account.next() is None else 0)
        account.clock.sleep(waited[-1])
        account.send(Result.NETWORK)
    assert waited == pytest.approx(pauses)
    assert account.errors() == [Result.NETWORK]


def test_retry_that_is_not_sent(account: Account) -> None:
    """What failed is still the try before it."""
    group = account.group()
    account.submit(group, "a")
    account.send(Result.SERVER_ERROR)
    account.clock.at += 25
    assert account.next() is None
    assert account.errors() == [Result.SERVER_ERROR]


@pytest.mark.parametrize(("after", "sent"), [(-0.001, True), (0.0, False), (0.001, False)])
def test_deadline(account: Account, after: float, sent: bool) -> None:
    group = account.group(not_sent="not sent: x")
    account.submit(group, "a")
    account.clock.at += 25 + after
    assert (account.send() is not None) == sent
    assert [str(outcome) for _, outcome in account.ended] == (["answer"] if sent else ["not sent: x"])


def test_cancel(account: Account) -> None:
    cancelled: List[bool] = []
    group = account.group(is_cancelled=lambda: bool(cancelled))
    account.submit(group, "a", "b")
    account.send()
    cancelled.append(True)
    assert account.next() is None
    assert account.errors() == [Result.TIMED_OUT]


@pytest.mark.parametrize(("after", "goes"), [(24.999, False), (25.0, True)])
def test_hung_request(account: Account, after: float, goes: bool) -> None:
    """A request that hangs past its cycle's deadline holds no slot."""
    group = account.group()
    account.submit(group, "hangs")
    assert account.next() is not None
    account.clock.at += after
    later = account.group()
    account.submit(later, "next")
    assert (account.next() is not None) == goes


def test_end_of_a_hung_request(account: Account) -> None:
    """It comes back in the middle of the next cycle, and changes nothing there."""
    group = account.group()
    account.submit(group, "hangs")
    hung = account.next()
    assert hung is not None
    account.clock.at += 60
    account.queue.close(group, {})
    group = account.group()
    account.submit(group, "a", "b", "c")
    account.send()
    account.end(hung, Result.NETWORK)
    assert [account.next() is not None for _ in range(2)] == [True, True]


def test_closed_cycle_leaves_nothing_behind(account: Account) -> None:
    group = account.group()
    account.submit(group, "a", "b")
    account.send(Result.NETWORK)
    account.queue.close(group, {})
    assert len(account.queue) == 0
    account.group()
    account.clock.at += 5
    assert account.next() is None


@pytest.mark.parametrize("hangs", [True, False])
def test_closed_cycle_with_a_request_in_flight(account: Account, hangs: bool) -> None:
    """It is over at once, so that the request holds no slot; without one its deadline stays."""
    group = account.group(seconds=25)
    account.submit(group, "a")
    request = account.next()
    assert request is not None
    if not hangs:
        account.end(request)
    account.clock.at += 1
    deadline = group.deadline
    account.queue.close(group, {})
    assert group.deadline == (account.clock.clock.monotonic() if hangs else deadline)
    account.submit(account.group(), "b")
    assert account.next() is not None


def test_follow_ups_keep_the_cycle_open(account: Account) -> None:
    group = account.group()
    account.submit(group, "a")
    request = account.next()
    assert request is not None
    account.queue.record(request, "answer")
    account.queue.finish(request, [account.request(group, "b")])
    assert not group.ended.is_set()
    assert account.send() == "b"
    assert group.ended.is_set()


def test_projects(account: Account) -> None:
    """Two cycles that end with different projects store both; an empty one is deleted."""
    one, other = account.group(), account.group()
    account.queue.close(one, {"here": "one"})
    account.queue.close(other, {"there": "two"})
    assert account.key.entry.projects == {"here": "one", "there": "two"}
    account.queue.close(account.group(), {"here": ""})
    assert account.key.entry.projects == {"there": "two"}


def test_unreadable_state(clock: FixedClock) -> None:
    """Without the state, the refusals of other processes are not known: one request at a time."""
    account = verified(Account(clock))
    account.key.store.unreadable = True
    account.submit(account.group(), "a", "b")
    assert account.next() is not None
    assert account.next() is None
