"""The rate of an access key: its boundaries, its leases, and who goes first."""

from __future__ import annotations

import math
from typing import Dict

import pytest

from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Priority, background_share
from maas_usage_check.scheduling.key_state import KeyEntry
from maas_usage_check.scheduling.rate_limiter import (
    DEFERRED_S,
    FULL_S,
    LEASE_S,
    LEASE_SIZE,
    WINDOW_S,
    RateLimiter,
    defer,
)
from maas_usage_check.state import Store

from ..conftest import FixedClock
from .account import Account

AT = 1_795_437_000.0
Counts = Dict[int, int]


@pytest.mark.parametrize(("rate", "share"), [(1, 1), (2, 1), (3, 1), (4, 2), (100, 50), (101, 50)])
def test_background_share(rate: int, share: int) -> None:
    assert background_share(rate) == share


@pytest.mark.parametrize("rate", [1, 2, 3, 100])
@pytest.mark.parametrize("first", [Priority.RANGE, Priority.BACKFILL])
def test_halves(clock: FixedClock, rate: int, first: Priority) -> None:
    """Background takes at most half of the rate, at least one; the foreground takes what is left, also all of it."""
    account = Account(clock, rate=rate)
    group = account.group()
    account.submit(group, *map(str, range(rate + 1)), priority=first)
    sent = 0
    while account.send():
        sent += 1
    assert sent == (rate if first == Priority.RANGE else background_share(rate))
    assert set(account.errors()) == {Result.OVER_RATE}
    account.submit(group, *map(str, range(rate + 1)), priority=Priority.RANGE)
    while account.send():
        sent += 1
    assert sent == rate


@pytest.mark.parametrize(
    ("age", "free"), [(0.0, 0), (60.0, 0), (60.999, 0), (61.0, 1), (-LEASE_S, 0), (-LEASE_S - 1.001, 1)]
)
def test_window(age: float, free: int) -> None:
    """A request counts for a minute; one from beyond any lease was counted by a clock that was set back since."""
    limiter = RateLimiter(FixedClock(AT + age).clock, 1)
    assert (limiter.lease(KeyEntry(sent={int(AT): 1}), False, 1, math.inf, ()) == 0) == free


@pytest.mark.parametrize(
    ("sent", "background", "is_background", "wait_s"),
    [
        ({0: 2}, {}, False, WINDOW_S),
        ({0: 1, 5: 1}, {}, False, WINDOW_S),
        ({0: 1}, {0: 1}, False, 0.0),
        ({0: 1}, {0: 1}, True, WINDOW_S),
        ({0: 1, 5: 1}, {5: 1}, True, WINDOW_S + 5),
    ],
)
def test_wait(sent: Counts, background: Counts, is_background: bool, wait_s: float) -> None:
    """The wait ends when the oldest request of the limit that is reached leaves the window."""
    entry = KeyEntry(
        sent={int(AT) + at: count for at, count in sent.items()},
        background={int(AT) + at: count for at, count in background.items()},
    )
    assert RateLimiter(FixedClock(AT).clock, 2).lease(entry, is_background, 1, math.inf, ()) == wait_s


@pytest.mark.parametrize(("after", "full"), [(0.0, True), (FULL_S - 0.001, True), (FULL_S, False)])
def test_full_rate_is_checked_again(after: float, full: bool) -> None:
    """Another process may give places back."""
    clock = FixedClock(AT)
    limiter = RateLimiter(clock.clock, 1)
    limiter.lease(KeyEntry(sent={int(AT): 1}), False, 1, math.inf, ())
    clock.at += after
    assert limiter.acquire(False, math.inf, False) == (pytest.approx(WINDOW_S - after) if full else None)


@pytest.mark.parametrize(("after", "full"), [(0.499, True), (0.5, False)])
def test_place_that_is_free_before_the_next_check(after: float, full: bool) -> None:
    clock = FixedClock(AT + 0.5)
    limiter = RateLimiter(clock.clock, 1)
    assert limiter.lease(KeyEntry(sent={int(AT) - 60: 1}), False, 1, math.inf, ()) == 0.5
    clock.at += after
    assert limiter.acquire(False, math.inf, False) == (pytest.approx(0.5 - after, abs=1e-6) if full else None)


def test_probe_uses_no_leased_place(clock: FixedClock) -> None:
    """The claim of a probe needs a transaction, so its place comes from there too."""
    limiter = RateLimiter(clock.clock, 9)
    assert limiter.lease(KeyEntry(), False, 2, math.inf, ()) == 0
    assert limiter.acquire(False, math.inf, False) is None
    assert limiter.acquire(False, math.inf, True) == 0
    assert limiter.acquire(False, math.inf, True) is None


def test_next_cycle_checks_a_full_rate_again(clock: FixedClock) -> None:
    """A rate that was full in one cycle is checked again in the next: the wall clock may have been set between them."""
    limiter, entry = RateLimiter(clock.clock, 3), KeyEntry(background={int(clock.at): 1}, sent={int(clock.at): 1})
    assert limiter.lease(entry, False, 1, math.inf, ()) == 0
    assert limiter.lease(entry, True, 1, math.inf, ()) > 0
    assert limiter.acquire(True, math.inf, True)
    limiter.settle(entry)
    assert limiter.acquire(True, math.inf, True) is None


def test_transactions(clock: FixedClock) -> None:
    """A cycle takes one transaction for every 16 requests, not one for each."""
    account, transactions = Account(clock, rate=1000), []
    original = account.key.transaction

    def count(durable: bool = False):  # type: ignore[no-untyped-def]
        transactions.append(durable)
        return original(durable)

    account.key.transaction = count  # type: ignore[method-assign]
    group = account.group()
    account.submit(group, *map(str, range(3 * LEASE_SIZE)))
    while account.send():
        pass
    account.queue.close(group, {})
    assert len(transactions) == 1 + 2 + 3 + 1  # it begins, the probe goes and verifies the key, three leases, it ends


def test_full_rate_costs_few_transactions(clock: FixedClock) -> None:
    account, transactions = Account(clock, rate=1), []
    original = account.key.transaction

    def count(durable: bool = False):  # type: ignore[no-untyped-def]
        transactions.append(durable)
        return original(durable)

    group = account.group()
    account.key.transaction = count  # type: ignore[method-assign]
    account.submit(group, *map(str, range(500)))
    while account.send():
        pass
    account.queue.close(group, {})
    assert len(account.errors()) == 499
    assert len(transactions) == 4


@pytest.mark.parametrize(("after", "taken"), [(0.0, 3), (LEASE_S + WINDOW_S - 1, 2), (LEASE_S + WINDOW_S, 0)])
def test_lease_of_a_killed_process(clock: FixedClock, after: float, taken: int) -> None:
    """Leased places count until a minute after the last moment at which they could be used."""
    store = Store()
    killed = Account(clock, store, rate=4)
    killed.submit(killed.group(), "probe", "a", "b")
    killed.send()
    assert killed.next() is not None  # of two leased places
    clock.at += after
    other = Account(clock, store, rate=4)
    other.submit(other.group(seconds=1), *"cdef")
    assert sum(other.send() is not None for _ in range(4)) == 4 - taken


def test_lease_size(clock: FixedClock) -> None:
    """The foreground leases no places for background requests."""
    account = Account(clock)
    group = account.group()
    account.submit(group, "probe")
    account.send()
    account.submit(group, *(f"hour {i}" for i in range(9)), priority=Priority.RECENT)
    account.submit(group, "a", "b")
    assert account.next() is not None
    assert sum(account.key.entry.sent.values()) == 1 + 2


def test_unused_places_are_given_back(clock: FixedClock) -> None:
    store = Store()
    one = Account(clock, store, rate=10)
    group = one.group()
    one.submit(group, *"abcdefgh")
    one.send()
    one.queue.close(group, {})
    other = Account(clock, store, rate=10)
    other.submit(other.group(), *map(str, range(10)))
    assert sum(other.send() is not None for _ in range(10)) == 9


def test_expired_lease(clock: FixedClock) -> None:
    """A place that was not used in time is leased again, and counted once."""
    account = Account(clock, rate=10)
    group = account.group()
    account.submit(group, "a", "b", "c")
    account.send()
    clock.at += LEASE_S
    assert [account.send(), account.send()] == ["b", "c"]
    account.queue.close(group, {})
    assert sum(account.key.entry.sent.values()) == 3


def test_deferred_queries_go_first(clock: FixedClock) -> None:
    """In the next cycle, also of another run, the query deferred longest goes first."""
    store, sent = Store(), []
    for _ in range(5):
        account = Account(clock, store, rate=2)
        group = account.group(1.0)
        account.submit(group, *"abcde")
        sent.append([account.send(), account.send()])
        account.next()
        account.queue.close(group, {})
        clock.at += 300
    assert sent == [["a", "b"], ["c", "d"], ["e", "a"], ["b", "c"], ["d", "a"]]


@pytest.mark.parametrize(("age", "kept"), [(DEFERRED_S - 0.001, True), (DEFERRED_S, False), (-0.001, False)])
def test_age_of_deferred_queries(clock: FixedClock, age: float, kept: bool) -> None:
    """Too old ones neither go first nor stay in the state."""
    account, entry = Account(clock), KeyEntry(deferred={"b": clock.at - age})
    defer(entry, {}, clock.at)
    assert ("b" in entry.deferred) == kept
    with account.key.transaction() as entry:
        entry.deferred = {"b": clock.at - age}
    account.submit(account.group(), "a", "b")
    assert account.send() == ("b" if kept else "a")


def test_deferral_at_once(clock: FixedClock) -> None:
    """What cannot go before the deadline is deferred without waiting, with the numbers."""
    account = Account(clock, rate=3)
    group = account.group(60.0)
    account.submit(group, *"abcd")
    assert [account.send() for _ in range(4)] == ["a", "b", "c", None]
    assert "rate limit: 3 requests sent in the last minute, max_requests_per_minute allows 3" in str(
        account.ended[-1][1]
    )


@pytest.mark.parametrize(
    ("seconds", "extension_s", "waits"), [(61.0, 0, False), (61.1, 0, True), (25, 36.0, False), (25, 36.1, True)]
)
def test_wait_within_the_deadline(clock: FixedClock, seconds: float, extension_s: float, waits: bool) -> None:
    """The foreground waits for the rate within its deadline, and where it may be extended within that."""
    account = Account(clock, rate=1)
    first = account.group()
    account.submit(first, "a")
    account.send()
    account.queue.close(first, {})
    clock.at = int(clock.at)  # the second at which it was counted
    group = account.group(seconds, extension_s=extension_s, request_s=10)
    account.submit(group, "b")
    assert account.send() is None
    assert (group.pending == 1) == waits
    if waits:
        assert account.queue.pause_s == 61
        clock.at += 61
        assert account.send() == "b"
        assert group.deadline <= group.last_deadline


def test_deferral_extends_no_cycle(clock: FixedClock) -> None:
    """A request that cannot wait long enough does not keep the cycle waiting for those in flight."""
    account = Account(clock, rate=1)
    group = account.group(25, extension_s=36, request_s=10)
    deadline = group.deadline
    account.submit(group, "a", "b")
    assert [account.send(), account.send()] == ["a", None]
    assert account.errors() == [Result.OVER_RATE]
    assert group.deadline == deadline


def test_background_never_extends_a_cycle(clock: FixedClock) -> None:
    account = Account(clock, rate=1)
    group = account.group(25, extension_s=61, request_s=10)
    account.submit(group, "a", "b", priority=Priority.RECENT)
    assert [account.send(), account.send()] == ["a", None]
    assert account.errors() == [Result.OVER_RATE]


def test_lowest_rate_of_two_cycles(clock: FixedClock) -> None:
    """Of instances of one key the lowest rate holds, and the lowest concurrency, until all cycles have ended."""
    account = Account(clock)
    high = account.group(1e9, rate=5)
    account.concurrency = 1
    low = account.group(1e9, rate=2)
    account.submit(high, "a", "b", "c")
    request = account.next()
    assert request is not None
    account.end(request)
    assert account.next() is not None
    assert account.next() is None  # one at a time
    account.queue.close(low, {})
    assert (account.queue.concurrency, account.queue.limiter.per_minute) == (1, 2)
    account.queue.close(high, {})
    account.concurrency = 4
    account.group(rate=5)
    assert (account.queue.concurrency, account.queue.limiter.per_minute) == (4, 5)


def test_turns_of_two_processes(clock: FixedClock) -> None:
    """Of two processes that need all of the rate each, the one that always comes first leaves room for the other."""
    store, sent = Store(), []
    one, other = (Account(clock, store, rate=3) for _ in range(2))
    for _ in range(4):
        for account in (one, other):
            group, names = account.group(), []
            account.submit(group, *(f"{account is one} {i}" for i in range(3)))
            while (name := account.send()) is not None:
                names.append(name)
            account.queue.close(group, {})
            sent.append(len(names))
        clock.at += WINDOW_S
    assert sent == [3, 0, 2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize(("deferred", "sent"), [(0, 12), (1, 11), (5, 7), (6, 6), (7, 6), (13, 6)])
def test_room_for_deferred_queries(clock: FixedClock, deferred: int, sent: int) -> None:
    """Queries that another process deferred keep half of the rate; those of this process, and a lookup, go first."""
    account = Account(clock, rate=12)
    with account.key.transaction() as entry:
        defer(entry, dict.fromkeys(map(str, range(deferred)), False), clock.at - DEFERRED_S + 1)
    group = account.group()
    account.submit(group, *(f"new {i}" for i in range(12)))
    names = []
    while (name := account.send()) is not None:
        names.append(name)
    assert len(names) == sent
    if deferred > 1:
        account.submit(group, "")
        assert account.send() == ""
        sent += 1
    account.submit(group, "new", *map(str, range(deferred)))
    for i in range(min(deferred, 12 - sent)):
        assert account.send() == str(i)
    assert account.send() is None
