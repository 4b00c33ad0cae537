from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.ledger import bisect

from .books import DAY, HOUR, START, History, Hours, cycle, use

MINUTE = 60_000
MONTH_AGO = START - 29 * DAY


def completed(history: History, first: int) -> Hours:
    """Let every hour up to now be known, with the same use."""
    hours = Hours(first, 50)
    history.hour_store().put(first, START, use(50))
    return hours


def is_workday(at: int) -> bool:
    return (at // DAY + 3) % 7 < 5 and 9 <= at // HOUR % 24 < 18


@pytest.mark.parametrize(
    ("is_used", "most"),
    [
        pytest.param(lambda at: False, 2, id="none: one call for the past, one for the last hours"),
        pytest.param(lambda at: at < START - 2 * HOUR, int(1.01 * 29 * 24), id="every hour: one call for each"),
        pytest.param(is_workday, int(1.6 * 21 * 9), id="workdays: at most 1.6 calls for each hour of use"),
    ],
)
def test_calls_of_a_month(history: History, is_used: Callable[[int], bool], most: int) -> None:
    hours = Hours()
    for at in filter(is_used, range(MONTH_AGO, START, HOUR)):
        hours.of[at] = 1 + at // HOUR % 97
    assert cycle(history, hours, MONTH_AGO) <= most
    assert history.held() == hours.truth(MONTH_AGO, START)


def test_calls_of_the_steady_state(history: History) -> None:
    """One call for each of the last hours, and one more an hour."""
    hours = completed(history, START - 2 * DAY)
    hours.of.update(dict.fromkeys(range(START, START + DAY, HOUR), 50))
    cycle(history, hours, START - 2 * DAY)
    calls = []
    for _ in range(24):
        history.now += 5 * MINUTE
        calls.append(cycle(history, hours, START - 2 * DAY))
    assert sum(calls) == 24 * 3 + 2
    assert max(calls) == 4


def test_the_last_hours_are_asked_one_by_one_and_nothing_of_them_is_subtracted(history: History) -> None:
    hours = Hours()
    cycle(history, hours, START - DAY)
    for at in range(START - 3 * HOUR, START, HOUR):
        hours.of[at] = 50
    assert cycle(history, hours, START - DAY) == 4
    assert history.held()[START - 3 * HOUR] == use(50)


def test_a_cycle_that_was_cut_short_leaves_no_question_to_be_asked_twice(history: History) -> None:
    hours = Hours(START - DAY, 50)
    cycle(history, hours, START - DAY, most=1)
    history.now += 5 * MINUTE
    assert cycle(history, hours, START - DAY) == 4 + 21
    assert history.held() == hours.truth(START - DAY, START)


def test_what_was_not_asked_for_hours_is_one_question_again(history: History) -> None:
    for _ in range(5):
        cycle(history, Hours(), START - DAY, most=0)
        history.now += HOUR
    assert len(bisect.pending_windows(history.hour_store())) == 2


@pytest.mark.parametrize("place", [10, 300, 600])
def test_a_search_keeps_nothing_else_from_being_asked(history: History, place: int) -> None:
    hours = completed(history, MONTH_AGO)
    cycle(history, hours, MONTH_AGO)
    history.now += HOUR
    hours.of[MONTH_AGO + 450 * HOUR] = 7
    cycle(history, hours, MONTH_AGO, most=3 + 1 + 3)  # an hour is known to be wrong, but not yet which
    history.now += HOUR
    hours.of[MONTH_AGO + place * HOUR] = 9
    cycle(history, hours, MONTH_AGO)
    assert history.held() == hours.truth(MONTH_AGO, history.now)


@pytest.mark.parametrize(
    ("place", "value"), [(0, 7), (1, 0), (345, 5000), (346, 0), (346, 7), (346, 5000), (347, 7), (500, 0), (691, 5000)]
)
def test_calls_of_a_restated_hour(history: History, place: int, value: int) -> None:
    """At most 10 find it, and one more confirms it."""
    hours = completed(history, MONTH_AGO)
    cycle(history, hours, MONTH_AGO)
    hours.of[MONTH_AGO + place * HOUR] = value
    history.now += HOUR
    hours.of[START] = 50
    assert cycle(history, hours, MONTH_AGO) <= 3 + 1 + 10 + 1
    assert history.held()[MONTH_AGO + place * HOUR] == use(value)


def test_the_newest_hours_come_first_and_the_rest_in_later_cycles(history: History) -> None:
    first = START - 5 * DAY
    hours = Hours(first, 50)
    cycle(history, hours, first, most=60)
    assert min(history.held()) >= START - 60 * HOUR
    assert len(history.held()) >= 40
    while cycle(history, hours, first, most=60) == 60:
        history.now += 5 * MINUTE
    assert history.held() == hours.truth(first, START)


@pytest.mark.parametrize(("known", "edge"), [(0, 11), (1, 20), (8, 13), (20, 1)])
def test_a_window_is_split_where_known_hours_begin_else_in_the_middle(history: History, known: int, edge: int) -> None:
    first, settled = START - DAY, START - 3 * HOUR
    hours, hour_store = Hours(first, 50), history.hour_store()
    hour_store.put(settled - known * HOUR, settled, use(50))
    (root,) = [each for each in bisect.plan_windows(hour_store, first, START) if each.until == settled]
    (split,) = bisect.on_answer(hour_store, root, hours.answer(root.query_from, root.until))
    assert split[:4] == (first, settled, first + edge * HOUR, hours.answer(first, settled))


def test_a_negative_difference_is_asked(history: History) -> None:
    first, settled = START - DAY, START - 3 * HOUR
    hours, hour_store = Hours(first, 50), history.hour_store()
    (root,) = [each for each in bisect.plan_windows(hour_store, first, START) if each.until == settled]
    (split,) = bisect.on_answer(hour_store, root, hours.answer(root.query_from, root.until))
    hours.of[settled - HOUR] = 5_000
    follow = bisect.on_answer(hour_store, split, hours.answer(split.query_from, split.until))
    assert (split.start, split.query_from, split.start, None) in [each[:4] for each in follow]
    cycle(history, hours, first)
    assert history.held() == hours.truth(first, START)


def test_an_hour_is_settled_when_it_was_asked_three_hours_after_its_end(history: History) -> None:
    """Time alone does not settle it."""

    def settled() -> List[bool]:
        return [hour.settled for hour in history.hour_store().hours(START - HOUR, START)]

    hours = Hours()
    hours.of[START - HOUR] = 50
    for now, is_settled in ((START, False), (START + 3 * HOUR - 1, False), (START + 3 * HOUR, True)):
        history.now = now
        assert settled() in ([], [False])
        cycle(history, hours, START - DAY)
        assert settled() == [is_settled]


def test_fewer_days_of_one_instance_leave_another_its_own(history: History) -> None:
    hour_store = history.hour_store()
    assert hour_store.first_hours(MONTH_AGO, 0) == (START, START)
    assert hour_store.first_hours(MONTH_AGO, 29 * DAY) == (MONTH_AGO, MONTH_AGO)
    assert hour_store.first_hours(MONTH_AGO, 0) == (START, MONTH_AGO)


changes = st.lists(st.tuples(st.integers(0, 60), st.integers(-60, 60), st.integers(0, 1000)), min_size=1, max_size=25)
"""Cycle, hour before the first one, and how much there is of it from then on."""
stretches = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 12)), st.integers(1, 12)), min_size=3, max_size=10
).map(lambda runs: [most for most, cycles in runs for _ in range(cycles)])
"""How many calls each cycle may make; None is as many as it likes."""


@given(changes, stretches)
def test_every_hour_is_what_the_cloud_says_70_minutes_after_it_says_so(
    arrivals: List[Tuple[int, int, int]], budgets: List[Optional[int]]
) -> None:
    history, hours = History(), Hours()
    changed: Dict[int, int] = {}
    first, unlimited = START - 48 * HOUR, 0
    for number, most in enumerate([*budgets, None, None, None, None, None]):
        for i, (when, hour, tokens) in enumerate(arrivals):
            at = START + hour * HOUR
            if when == number and first <= at <= history.now - HOUR:
                hours.of[at] = tokens and tokens * 1009**2 + 1009 * i  # no two changes make up for one another
                changed[at] = history.now
        cycle(history, hours, first, most)
        unlimited = unlimited + 1 if most is None else 0
        if unlimited >= 5:  # an hour and more of cycles with room
            known, truth = history.held(), hours.truth(first, history.now // HOUR * HOUR)
            wrong = [at for at, values in truth.items() if known.get(at) != values]
            assert not [at for at in wrong if history.now - changed.get(at, 0) > 70 * MINUTE]
        history.now += 15 * MINUTE
