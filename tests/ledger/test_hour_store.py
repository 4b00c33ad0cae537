from __future__ import annotations

from .books import HOUR, START, History, use


def test_an_hour_that_is_settled_stays_so_when_the_clock_goes_back(history: History) -> None:
    for tokens, now in ((5, START), (6, START - 2 * HOUR)):
        history.now = now
        history.put(START - 4 * HOUR, tokens)
    assert [(hour.values, hour.settled) for hour in history.ledger().hours(0, START)] == [(use(6), True)]


def test_the_newest_use_is_the_end_of_the_last_hour_in_which_there_was_any(history: History) -> None:
    ledger = history.ledger()
    assert ledger.newest_use() is None
    ledger.put(START - 9 * HOUR, START - 8 * HOUR, use(5))
    ledger.put(START - 6 * HOUR, START - 5 * HOUR, (0, 0, 0, 1, 1))
    ledger.put(START - 5 * HOUR, START, use(0))
    assert ledger.newest_use() == START - 5 * HOUR
    assert ledger.newest_use(START - 6 * HOUR) == START - 8 * HOUR
