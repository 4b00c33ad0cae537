from __future__ import annotations

from typing import List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.history.counts import counted, freeze, known_counts

from .books import DAY, HOUR, START, History


def tokens(history: History) -> int:
    return counted(history.ledger())[0]


def test_a_count_begins_with_0_and_the_hours_before_it_do_not_count(history: History) -> None:
    history.now += 20 * 60_000
    assert tokens(history) == 0
    history.put(START - HOUR, 1_000)
    assert tokens(history) == 0
    history.put(START, 30)  # it had begun before the history, and ended after
    history.put(START + HOUR, 4)
    assert tokens(history) == 34


def test_an_hour_that_ends_as_the_history_begins_does_not_count(history: History) -> None:
    tokens(history)
    history.put(START - HOUR, 1_000)
    assert tokens(history) == 0


def test_what_is_taken_back_is_held_until_it_is_made_up(history: History) -> None:
    tokens(history)
    counts = []
    for hour, value in ((0, 100), (0, 60), (1, 30), (2, 30)):
        history.put(START + hour * HOUR, value)
        counts.append(tokens(history))
    assert counts == [100, 100, 100, 120]


def test_frozen_hours_stay_in_the_count_and_are_never_counted_again(history: History) -> None:
    tokens(history)
    history.put(START, 100)
    history.put(START + 2 * DAY, 5)
    history.now += 30 * DAY
    freeze(history.book, START + DAY)
    assert tokens(history) == 105
    assert history.ledger().reach(START - DAY, 29 * DAY) == (START + DAY, START + DAY)
    assert [hour.start for hour in history.ledger().hours(0, START + 9 * DAY)] == [START + 2 * DAY]


def test_hours_that_are_frozen_later_are_added_to_those_before(history: History) -> None:
    tokens(history)
    for day in range(5):
        history.put(START + day * DAY, 100)
        freeze(history.book, START + day * DAY)
    history.put(START + 5 * DAY, 7)
    assert tokens(history) == 507


def test_a_history_that_began_by_a_clock_a_day_ahead_counts_from_when_the_clock_is_right(history: History) -> None:
    history.now += DAY
    tokens(history)
    history.now -= DAY
    freeze(history.book, START - 29 * DAY)
    history.put(START, 100)
    assert tokens(history) == 100


@given(st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 1000), st.booleans()), max_size=40))
def test_a_count_is_the_most_that_a_dictionary_of_hours_ever_added_up_to(changes: List[Tuple[int, int, bool]]) -> None:
    history = History()
    tokens(history)
    hours, most, frozen = {}, 0, -3
    for at, value, looked in changes:
        if at >= frozen:
            history.put(START + at * HOUR, value)
            hours[at] = value
        if value % 7 == 0 and looked:
            frozen = max(frozen, at - 10)
            freeze(history.book, START + frozen * HOUR)
        if looked:
            most = max(most, sum(value for at, value in hours.items() if at >= 0))
            assert tokens(history) == most
    assert known_counts(history.ledger())[0] == most
