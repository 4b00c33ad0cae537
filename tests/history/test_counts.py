from __future__ import annotations

import tempfile
from pathlib import Path
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.history.counts import counted, freeze, known_counts

from .books import HOUR, START, History, put

DAY = 24 * HOUR


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def tokens(history: History) -> int:
    with history.ledger() as ledger:
        return counted(ledger)[0]


def test_a_count_begins_with_0_and_the_hours_before_it_do_not_count(history: History) -> None:
    history.now += 20 * 60_000
    assert tokens(history) == 0
    put(history, START - HOUR, 1_000)
    assert tokens(history) == 0
    put(history, START, 30)  # it had begun before the history, and ended after
    put(history, START + HOUR, 4)
    assert tokens(history) == 34


def test_what_is_taken_back_is_held_until_it_is_made_up(history: History) -> None:
    tokens(history)
    put(history, START, 100)
    assert tokens(history) == 100
    put(history, START, 60)
    assert tokens(history) == 100
    put(history, START + HOUR, 30)
    assert tokens(history) == 100
    put(history, START + 2 * HOUR, 30)
    assert tokens(history) == 120


def test_hours_that_are_let_go_stay_in_the_count_and_are_never_counted_again(history: History) -> None:
    tokens(history)
    put(history, START, 100)
    put(history, START + 2 * DAY, 5)
    history.now += 30 * DAY
    with history.book() as book:
        freeze(book, START + DAY)
    assert tokens(history) == 105
    with history.ledger() as ledger:
        assert ledger.reach(START - DAY, 29 * DAY) == (START + DAY, START + DAY)
        assert [hour.start for hour in ledger.hours(0, START + 9 * DAY)] == [START + 2 * DAY]


def test_each_time_hours_are_let_go_they_are_added_to_those_before(history: History) -> None:
    tokens(history)
    for day in range(5):
        put(history, START + day * DAY, 100)
        with history.book() as book:
            freeze(book, START + day * DAY)
    put(history, START + 5 * DAY, 7)
    assert tokens(history) == 507


def test_a_history_that_began_by_a_clock_a_day_ahead_counts_from_when_the_clock_is_right(history: History) -> None:
    history.now += DAY
    tokens(history)
    history.now -= DAY
    with history.book() as book:
        freeze(book, START - 29 * DAY)
    put(history, START, 100)
    assert tokens(history) == 100


@given(st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 1000), st.booleans()), max_size=40))
def test_a_count_is_the_most_that_a_dictionary_of_hours_ever_added_up_to(
    changes: List[Tuple[int, int, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        tokens(history)
        hours, most, frozen = {}, 0, -3
        for at, value, looked in changes:
            if at >= frozen:
                put(history, START + at * HOUR, value)
                hours[at] = value
            if value % 7 == 0 and looked:
                frozen = max(frozen, at - 10)
                with history.book() as book:
                    freeze(book, START + frozen * HOUR)
            if looked:
                most = max(most, sum(value for at, value in hours.items() if at >= 0))
                assert tokens(history) == most
        with history.ledger() as ledger:
            assert known_counts(ledger)[0] == most
