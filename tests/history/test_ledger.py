from __future__ import annotations

from pathlib import Path

import pytest

from .books import HOUR, START, History, use


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def test_an_hour_that_is_settled_stays_so_when_the_clock_goes_back(history: History) -> None:
    for tokens, seconds in ((5, 0), (6, -2 * HOUR)):
        history.now = START + seconds
        with history.ledger() as ledger:
            ledger.put(START - 4 * HOUR, START - 3 * HOUR, use(tokens))
    with history.ledger() as ledger:
        assert [(hour.values, hour.settled) for hour in ledger.hours(0, START)] == [(use(6), True)]


def test_the_newest_use_is_the_end_of_the_last_hour_in_which_there_was_any(history: History) -> None:
    with history.ledger() as ledger:
        assert ledger.newest_use() is None
        ledger.put(START - 9 * HOUR, START - 8 * HOUR, use(5))
        ledger.put(START - 6 * HOUR, START - 5 * HOUR, (0, 0, 0, 1, 1))
        ledger.put(START - 5 * HOUR, START, use(0))
        assert ledger.newest_use() == START - 5 * HOUR
        assert ledger.newest_use(START - 6 * HOUR) == START - 8 * HOUR


def test_series_have_hours_of_their_own(history: History) -> None:
    with history.ledger("a") as ledger:
        ledger.put(START - HOUR, START, use(5))
    with history.ledger("b") as ledger:
        assert ledger.held(0, START) == (0, use(0))
    with history.ledger("a") as ledger:
        assert ledger.held(0, START) == (1, use(5))
