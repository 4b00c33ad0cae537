from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.history import agenda

from .books import HOUR, START, History, Hours, cycle, held, use

DAY = 24 * HOUR
MINUTE = 60_000


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def settled(history: History) -> int:
    return (history.now - 3 * HOUR) // HOUR * HOUR


def test_a_month_without_use_costs_one_call_for_the_past_and_one_for_the_last_hours(history: History) -> None:
    hours = Hours()
    assert cycle(history, hours, START - 29 * DAY) == 2
    assert held(history) == dict.fromkeys(range(START - 29 * DAY, START, HOUR), (0,) * 5)


def test_a_month_with_use_in_every_hour_costs_one_call_for_each(history: History) -> None:
    hours = Hours()
    for at in range(START - 29 * DAY, START - 2 * HOUR, HOUR):
        hours.of[at] = 1 + at // HOUR % 97
    calls = cycle(history, hours, START - 29 * DAY)
    assert calls <= 1.01 * 29 * 24
    assert held(history) == {at: use(hours.of[at]) for at in range(START - 29 * DAY, START, HOUR)}


def test_a_month_with_use_on_weekdays_from_9_to_18_costs_at_most_1_6_calls_for_each_hour_of_use(
    history: History,
) -> None:
    hours = Hours()
    for at in range(START - 29 * DAY, START, HOUR):
        if (at // DAY + 3) % 7 < 5 and 9 <= at // HOUR % 24 < 18:
            hours.of[at] = 1000 + at // HOUR % 97
    calls = cycle(history, hours, START - 29 * DAY)
    assert calls <= 1.6 * sum(map(bool, hours.of.values()))
    assert held(history) == {at: use(hours.of[at]) for at in range(START - 29 * DAY, START, HOUR)}


def test_the_steady_state_costs_one_call_for_each_of_the_last_hours_and_one_more_an_hour(history: History) -> None:
    hours = Hours()
    for at in range(START - 29 * DAY, START + DAY, HOUR):
        hours.of[at] = 1 + at // HOUR % 97
    cycle(history, hours, START - 29 * DAY)
    calls = []
    for _ in range(24):
        history.now += 5 * MINUTE
        calls.append(cycle(history, hours, START - 29 * DAY))
    assert sum(calls) == 24 * 3 + 2
    assert max(calls) == 4


def test_the_last_hours_are_asked_one_by_one_and_nothing_of_them_is_subtracted(history: History) -> None:
    hours = Hours()
    cycle(history, hours, START - DAY)
    for at in range(START - 3 * HOUR, START, HOUR):
        hours.of[at] = 50
    assert cycle(history, hours, START - DAY) == 4
    assert held(history)[START - 3 * HOUR] == use(50)


def test_a_cycle_that_was_cut_short_leaves_no_question_to_be_asked_twice(history: History) -> None:
    hours = Hours()
    for at in range(START - DAY, START, HOUR):
        hours.of[at] = 50
    cycle(history, hours, START - DAY, most=1)
    history.now += 5 * MINUTE
    assert cycle(history, hours, START - DAY) == 4 + 21
    assert held(history) == {at: use(50) for at in range(START - DAY, START, HOUR)}


def test_what_was_not_asked_for_hours_is_one_question_again(history: History) -> None:
    hours = Hours()
    for _ in range(5):
        cycle(history, hours, START - DAY, most=0)
        history.now += HOUR
    with history.ledger() as ledger:
        assert len(agenda.open_questions(ledger)) == 2


@pytest.mark.parametrize("place", [10, 300, 600])
def test_what_is_being_looked_into_keeps_nothing_else_from_being_asked(history: History, place: int) -> None:
    hours = Hours()
    first = START - 29 * DAY
    for at in range(first, START, HOUR):
        hours.of[at] = 50
    cycle(history, hours, first)
    history.now += HOUR
    hours.of[first + 450 * HOUR] = 7
    cycle(history, hours, first, most=3 + 1 + 3)  # an hour is known to be wrong, but not yet which
    history.now += HOUR
    hours.of[first + place * HOUR] = 9
    cycle(history, hours, first)
    assert held(history)[first + 450 * HOUR] == use(7)
    assert held(history)[first + place * HOUR] == use(9)


@pytest.mark.parametrize("place", [0, 1, 345, 346, 347, 500, 691])
@pytest.mark.parametrize("value", [0, 7, 5000])
def test_a_restated_hour_is_found_with_at_most_10_calls(history: History, place: int, value: int) -> None:
    hours = Hours()
    first = START - 29 * DAY
    for at in range(first, START, HOUR):
        hours.of[at] = 50
    cycle(history, hours, first)
    hours.of[first + place * HOUR] = value
    history.now += HOUR
    hours.of[START] = 50
    assert cycle(history, hours, first) <= 3 + 1 + 10
    assert held(history)[first + place * HOUR] == use(value)


def test_the_newest_hours_come_first_and_the_rest_in_later_cycles(history: History) -> None:
    hours = Hours()
    first = START - 29 * DAY
    for at in range(first, START, HOUR):
        hours.of[at] = 50
    cycle(history, hours, first, most=60)
    known = held(history)
    assert min(known) >= START - 60 * HOUR
    assert len(known) >= 40
    while cycle(history, hours, first, most=60) == 60:
        history.now += 5 * MINUTE
    assert len(held(history)) == (history.now // HOUR * HOUR - first) // HOUR


def test_what_a_later_answer_makes_negative_is_asked(history: History) -> None:
    hours = Hours()
    for at in range(START - DAY, START, HOUR):
        hours.of[at] = 50
    with history.ledger() as ledger:
        (root,) = [each for each in agenda.prepare(ledger, START - DAY, START) if each.until == settled(history)]
        (split,) = agenda.learn(ledger, root, hours.answer(root.newer, root.until))
    hours.of[settled(history) - HOUR] = 5_000
    with history.ledger() as ledger:
        follow = agenda.learn(ledger, split, hours.answer(split.newer, split.until))
    assert (split.start, split.newer, split.start, None) in follow
    cycle(history, hours, START - DAY)
    assert held(history) == {at: use(hours.of[at]) for at in range(START - DAY, START, HOUR)}


def test_an_hour_is_settled_when_it_was_asked_three_hours_after_its_end_and_not_by_time_alone(
    history: History,
) -> None:
    hours = Hours()
    hours.of[START - HOUR] = 50
    cycle(history, hours, START - DAY)
    history.now = START + 3 * HOUR - MINUTE
    cycle(history, hours, START - DAY)
    with history.ledger() as ledger:
        assert [hour.settled for hour in ledger.hours(START - HOUR, START)] == [False]
    history.now = START + 3 * HOUR
    with history.ledger() as ledger:
        assert [hour.settled for hour in ledger.hours(START - HOUR, START)] == [False]
    cycle(history, hours, START - DAY)
    with history.ledger() as ledger:
        assert [hour.settled for hour in ledger.hours(START - HOUR, START)] == [True]


def test_who_wants_fewer_days_does_not_keep_another_from_its_own(history: History) -> None:
    with history.ledger() as ledger:
        oldest = START - 29 * DAY
        assert ledger.reach(oldest, 0) == (START, START)
        assert ledger.reach(oldest, 29 * DAY) == (oldest, oldest)
        assert ledger.reach(oldest, 0) == (START, oldest)


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
    with tempfile.TemporaryDirectory() as folder:
        history, hours = History(Path(folder)), Hours()
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
                known = held(history)
                wrong = [
                    at
                    for at in range(first, history.now // HOUR * HOUR, HOUR)
                    if known.get(at) != use(hours.of[at]) and history.now - changed.get(at, 0) > 70 * MINUTE
                ]
                assert not wrong
            history.now += 15 * MINUTE
