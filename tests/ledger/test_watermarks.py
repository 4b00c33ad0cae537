from __future__ import annotations

from typing import List, Tuple

import pytest

from maas_usage_check.ledger.counters import stored_counters, update_counters
from maas_usage_check.ledger.watermarks import (
    HOURS,
    INCREMENTS,
    Consumer,
    changed_hours,
    delete_idle_consumers,
    increments,
    is_new,
)

from .books import DAY, HOUR, START, History

TELEGRAF, BY_HAND, AGENT = Consumer("telegraf", HOURS), Consumer("by hand", HOURS), Consumer("agent", INCREMENTS)


def taken(history: History, consumer: Consumer = TELEGRAF) -> List[Tuple[int, int]]:
    return [(hour.start, hour.values[0]) for hour in changed_hours(history.hour_store(), consumer, 0)]


def grown(history: History, consumer: Consumer = AGENT) -> int:
    hour_store = history.hour_store()
    before = stored_counters(hour_store)
    return increments(hour_store, consumer, update_counters(hour_store), before)[0]


def test_a_collect_by_hand_takes_nothing_from_telegraf(history: History) -> None:
    taken(history)
    history.now += 2 * HOUR
    history.put(START - DAY, 1)
    assert taken(history, BY_HAND) == taken(history) == [(START - DAY, 1)]


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_jumps_and_comes_back_loses_no_change(history: History, jump: int) -> None:
    history.put(START - DAY, 1)
    taken(history)
    history.now += jump
    taken(history)
    history.now -= jump
    history.now += HOUR
    history.put(START - DAY, 2)
    assert (START - DAY, 2) in taken(history)


def test_the_last_hours_without_use_are_no_points_until_they_are_settled(history: History) -> None:
    history.put(START - HOUR, 0)
    history.put(START - 4 * HOUR, 0)
    assert taken(history) == [(START - 4 * HOUR, 0)]
    history.now += 3 * HOUR
    history.put(START - HOUR, 0)
    assert (START - HOUR, 0) in taken(history)


def test_an_hour_that_is_taken_back_to_zero_before_it_is_settled_is_corrected(history: History) -> None:
    history.put(START - HOUR, 5)
    taken(history)
    history.now += 2 * HOUR
    history.put(START - HOUR, 0)
    assert taken(history) == [(START - HOUR, 0)]


def test_an_agent_whose_check_has_a_new_id_gets_what_this_cycle_found_and_nothing_twice(history: History) -> None:
    grown(history)
    history.put(START, 100)
    grown(history)
    history.put(START + HOUR, 7)
    assert grown(history, Consumer("agent with another id", INCREMENTS)) == 7


def test_two_agents_get_each_unit_once_each(history: History) -> None:
    other = Consumer("another agent", INCREMENTS)
    assert [grown(history), grown(history, other)] == [0, 0]
    history.put(START, 100)
    assert [grown(history), grown(history, other), grown(history)] == [100, 100, 0]
    history.put(START, 60)
    history.put(START + HOUR, 70)
    assert [grown(history), grown(history, other)] == [30, 30]


def test_of_one_that_still_comes_nothing_is_forgotten_however_long_a_series_was_silent(history: History) -> None:
    taken(history)
    for _ in range(5):
        history.now += 10 * DAY
        changed_hours(history.hour_store("another"), TELEGRAF, 0)
        delete_idle_consumers(history.transaction)
    assert not is_new(history.hour_store(), TELEGRAF)


@pytest.mark.parametrize(("late", "known"), [(0, True), (1, False)])
def test_a_consumer_is_forgotten_after_40_days(history: History, late: int, known: bool) -> None:
    taken(history)
    history.now += 40 * DAY + late
    delete_idle_consumers(history.transaction)
    assert is_new(history.hour_store(), TELEGRAF) != known
