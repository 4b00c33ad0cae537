from __future__ import annotations

from .books import HOUR, START, History, use


def test_an_hour_that_is_settled_stays_so_when_the_clock_goes_back(history: History) -> None:
    for tokens, now in ((5, START), (6, START - 2 * HOUR)):
        history.now = now
        history.put(START - 4 * HOUR, tokens)
    assert [(hour.values, hour.settled) for hour in history.hour_store().hours(0, START)] == [(use(6), True)]


def test_the_newest_use_is_the_end_of_the_last_hour_in_which_there_was_any(history: History) -> None:
    hour_store = history.hour_store()
    assert hour_store.newest_use_end() is None
    hour_store.put(START - 9 * HOUR, START - 8 * HOUR, use(5))
    hour_store.put(START - 6 * HOUR, START - 5 * HOUR, (0, 0, 0, 1, 1))
    hour_store.put(START - 5 * HOUR, START, use(0))
    assert hour_store.newest_use_end() == START - 5 * HOUR
    assert hour_store.newest_use_end(START - 6 * HOUR) == START - 8 * HOUR
