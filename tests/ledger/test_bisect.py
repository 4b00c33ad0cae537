from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.ledger import bisect

from .memory_ledger import DAY, HOUR, START, CloudHours, MemoryLedger, make_values, run_cycle

MINUTE = 60_000
MONTH_AGO = START - 29 * DAY


def fill(ledger: MemoryLedger, first: int) -> CloudHours:
    """Make every hour up to now known, with the same use; return the cloud's hours."""
    hours = CloudHours(first, 50)
    ledger.hour_store().put(first, START, make_values(50))
    return hours


def is_workday(at: int) -> bool:
    return (at // DAY + 3) % 7 < 5 and 9 <= at // HOUR % 24 < 18


@pytest.mark.parametrize(
    ("is_used", "most"),
    [
        pytest.param(lambda at: False, 2, id="none: one request for the past, one for the last hours"),
        pytest.param(lambda at: at < START - 2 * HOUR, int(1.01 * 29 * 24), id="every hour: one request for each"),
        pytest.param(is_workday, int(1.6 * 21 * 9), id="workdays: at most 1.6 requests for each hour of use"),
    ],
)
def test_requests_of_a_month(ledger: MemoryLedger, is_used: Callable[[int], bool], most: int) -> None:
    hours = CloudHours()
    for at in filter(is_used, range(MONTH_AGO, START, HOUR)):
        hours.tokens[at] = 1 + at // HOUR % 97
    assert run_cycle(ledger, hours, MONTH_AGO) <= most
    assert ledger.known_hours() == hours.expected(MONTH_AGO, START)


def test_requests_of_the_steady_state(ledger: MemoryLedger) -> None:
    """One request for each of the last hours, and one more an hour."""
    hours = fill(ledger, START - 2 * DAY)
    hours.tokens.update(dict.fromkeys(range(START, START + DAY, HOUR), 50))
    run_cycle(ledger, hours, START - 2 * DAY)
    requests = []
    for _ in range(24):
        ledger.now_ms += 5 * MINUTE
        requests.append(run_cycle(ledger, hours, START - 2 * DAY))
    assert sum(requests) == 24 * 3 + 2
    assert max(requests) == 4


def test_unsettled_hours(ledger: MemoryLedger) -> None:
    """They are queried one by one, never derived by subtraction."""
    hours = CloudHours()
    run_cycle(ledger, hours, START - DAY)
    for at in range(START - 3 * HOUR, START, HOUR):
        hours.tokens[at] = 50
    assert run_cycle(ledger, hours, START - DAY) == 4
    assert ledger.known_hours()[START - 3 * HOUR] == make_values(50)


def test_interrupted_cycle(ledger: MemoryLedger) -> None:
    """The next cycle continues and queries no window twice."""
    hours = CloudHours(START - DAY, 50)
    run_cycle(ledger, hours, START - DAY, most=1)
    ledger.now_ms += 5 * MINUTE
    assert run_cycle(ledger, hours, START - DAY) == 4 + 21
    assert ledger.known_hours() == hours.expected(START - DAY, START)


def test_unanswered_windows_are_merged(ledger: MemoryLedger) -> None:
    """Windows that were not queried for hours become one window again."""
    for _ in range(5):
        run_cycle(ledger, CloudHours(), START - DAY, most=0)
        ledger.now_ms += HOUR
    assert len(bisect.pending_windows(ledger.hour_store())) == 2


@pytest.mark.parametrize("hour", [10, 300, 600])
def test_change_during_a_search(ledger: MemoryLedger, hour: int) -> None:
    """An unfinished search for a wrong hour delays no other hour."""
    hours = fill(ledger, MONTH_AGO)
    run_cycle(ledger, hours, MONTH_AGO)
    ledger.now_ms += HOUR
    hours.tokens[MONTH_AGO + 450 * HOUR] = 7
    run_cycle(ledger, hours, MONTH_AGO, most=3 + 1 + 3)  # the search for the wrong hour is not finished
    ledger.now_ms += HOUR
    hours.tokens[MONTH_AGO + hour * HOUR] = 9
    run_cycle(ledger, hours, MONTH_AGO)
    assert ledger.known_hours() == hours.expected(MONTH_AGO, ledger.now_ms)


@pytest.mark.parametrize(
    ("hour", "value"), [(0, 7), (1, 0), (345, 5000), (346, 0), (346, 7), (346, 5000), (347, 7), (500, 0), (691, 5000)]
)
def test_requests_of_a_restated_hour(ledger: MemoryLedger, hour: int, value: int) -> None:
    """At most 10 find it, and one more confirms it."""
    hours = fill(ledger, MONTH_AGO)
    run_cycle(ledger, hours, MONTH_AGO)
    hours.tokens[MONTH_AGO + hour * HOUR] = value
    ledger.now_ms += HOUR
    hours.tokens[START] = 50
    assert run_cycle(ledger, hours, MONTH_AGO) <= 3 + 1 + 10 + 1
    assert ledger.known_hours()[MONTH_AGO + hour * HOUR] == make_values(value)


def test_newest_hours_first(ledger: MemoryLedger) -> None:
    """Older hours follow in later cycles."""
    first = START - 5 * DAY
    hours = CloudHours(first, 50)
    run_cycle(ledger, hours, first, most=60)
    assert min(ledger.known_hours()) >= START - 60 * HOUR
    assert len(ledger.known_hours()) >= 40
    while run_cycle(ledger, hours, first, most=60) == 60:
        ledger.now_ms += 5 * MINUTE
    assert ledger.known_hours() == hours.expected(first, START)


@pytest.mark.parametrize(("known", "edge"), [(0, 11), (1, 20), (8, 13), (20, 1)])
def test_split(ledger: MemoryLedger, known: int, edge: int) -> None:
    """A window is split where known hours begin, else in the middle."""
    first, settled = START - DAY, START - 3 * HOUR
    hours, hour_store = CloudHours(first, 50), ledger.hour_store()
    hour_store.put(settled - known * HOUR, settled, make_values(50))
    (window,) = [each for each in bisect.plan_windows(hour_store, first) if each.until == settled]
    (split,) = bisect.on_answer(hour_store, window, hours.answer(window.query_from, window.until))
    assert split[:4] == (first, settled, first + edge * HOUR, hours.answer(first, settled))


def test_negative_difference_is_queried(ledger: MemoryLedger) -> None:
    first, settled = START - DAY, START - 3 * HOUR
    hours, hour_store = CloudHours(first, 50), ledger.hour_store()
    (window,) = [each for each in bisect.plan_windows(hour_store, first) if each.until == settled]
    (split,) = bisect.on_answer(hour_store, window, hours.answer(window.query_from, window.until))
    hours.tokens[settled - HOUR] = 5_000
    follow = bisect.on_answer(hour_store, split, hours.answer(split.query_from, split.until))
    assert (split.start, split.query_from, split.start, None) in [each[:4] for each in follow]
    run_cycle(ledger, hours, first)
    assert ledger.known_hours() == hours.expected(first, START)


def test_settled(ledger: MemoryLedger) -> None:
    """An hour is settled by a query at least three hours after its end, not by time alone."""

    def settled() -> List[bool]:
        return [hour.settled for hour in ledger.hour_store().hours(START - HOUR, START)]

    hours = CloudHours()
    hours.tokens[START - HOUR] = 50
    for now, is_settled in ((START, False), (START + 3 * HOUR - 1, False), (START + 3 * HOUR, True)):
        ledger.now_ms = now
        assert settled() in ([], [False])
        run_cycle(ledger, hours, START - DAY)
        assert settled() == [is_settled]


def test_backfill_of_two_instances(ledger: MemoryLedger) -> None:
    """An instance with fewer days does not shorten the backfill of another one."""
    hour_store = ledger.hour_store()
    assert hour_store.first_hours(0) == (START, START)
    assert hour_store.first_hours(29 * DAY) == (MONTH_AGO, MONTH_AGO)
    assert hour_store.first_hours(0) == (START, MONTH_AGO)


changes = st.lists(st.tuples(st.integers(0, 60), st.integers(-60, 60), st.integers(0, 1000)), min_size=1, max_size=25)
"""Cycle, hour relative to START, and its tokens from that cycle on."""
stretches = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 12)), st.integers(1, 12)), min_size=3, max_size=10
).map(lambda runs: [most for most, cycles in runs for _ in range(cycles)])
"""The most requests of each cycle; None: no limit."""


@given(changes, stretches)
def test_every_hour_within_70_minutes(arrivals: List[Tuple[int, int, int]], budgets: List[Optional[int]]) -> None:
    """At most 70 minutes after a change in the cloud, every known hour equals it."""
    ledger, hours = MemoryLedger(), CloudHours()
    changed: Dict[int, int] = {}
    first, unlimited = START - 48 * HOUR, 0
    for number, most in enumerate([*budgets, None, None, None, None, None]):
        for i, (when, hour, tokens) in enumerate(arrivals):
            at = START + hour * HOUR
            if when == number and first <= at <= ledger.now_ms - HOUR:
                hours.tokens[at] = tokens and tokens * 1009**2 + 1009 * i  # no two changes cancel each other out
                changed[at] = ledger.now_ms
        run_cycle(ledger, hours, first, most)
        unlimited = unlimited + 1 if most is None else 0
        if unlimited >= 5:  # cycles without a limit for more than an hour
            known, truth = ledger.known_hours(), hours.expected(first, ledger.now_ms // HOUR * HOUR)
            wrong = [at for at, values in truth.items() if known.get(at) != values]
            assert not [at for at in wrong if ledger.now_ms - changed.get(at, 0) > 70 * MINUTE]
        ledger.now_ms += 15 * MINUTE
