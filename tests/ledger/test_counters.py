from __future__ import annotations

from typing import List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.ledger.counters import compact, stored_counters, update_counters

from .books import DAY, HOUR, START, History


def tokens(history: History) -> int:
    return update_counters(history.hour_store())[0]


def test_a_count_begins_with_0_and_the_hours_before_it_do_not_count(history: History) -> None:
    history.now += 20 * 60_000
    assert tokens(history) == 0
    history.put(START - HOUR, 1_000)
    assert tokens(history) == 0
    history.put(START, 30)  # it had begun before the history, and ended after
    history.put(START + HOUR, 4)
    assert tokens(history) == 34


def test_frozen_hours_stay_in_the_count_and_are_never_counted_again(history: History) -> None:
    tokens(history)
    history.now += 30 * DAY
    for day in range(4):
        history.put(START + day * DAY, 100)
        assert tokens(history) == (day + 1) * 100
        compact(history.transaction, START + day * DAY)
    assert history.hour_store().first_hours(START - DAY, 29 * DAY) == (START + 3 * DAY, START + 3 * DAY)
    assert [hour.start for hour in history.hour_store().hours(0, START + 9 * DAY)] == [START + 3 * DAY]


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
            compact(history.transaction, START + frozen * HOUR)
        if looked:
            most = max(most, sum(value for at, value in hours.items() if at >= 0))
            assert tokens(history) == most
    assert stored_counters(history.hour_store())[0] == most
