from __future__ import annotations

from typing import Callable, List, Tuple

import pytest

from maas_usage_check.ledger.daily_check import DailyCheck

from .books import DAY, HOUR, START, History, use

NEWEST = START // DAY * DAY - 2 * DAY
"""The newest day that ended more than 27 hours before noon."""


@pytest.fixture
def history(history: History) -> History:
    history.hour_store().put(START - 5 * DAY, START - 3 * HOUR, use(1000))
    return history


def begin(history: History, check: DailyCheck, name: str = "a") -> bool:
    return check.start({name: history.hour_store(name)}, START - 29 * DAY, history.now)


def lookup(history: History, check: DailyCheck, answer: Callable[[int, int], int]) -> List[Tuple[int, int]]:
    """Answer all questions of a look; return the windows that were asked."""
    asked: List[Tuple[int, int]] = []
    more = begin(history, check)
    while more:
        asked.append(check.next_window)
        more = check.on_answer(len(check.answers), (answer(*asked[-1]),) * 5, history.now)
    return asked


def truth(start: int, until: int) -> int:
    return (until - start) // HOUR * 1000


def test_the_newest_day_that_is_surely_over_is_asked_whole_by_the_hour_and_whole_again(history: History) -> None:
    check = DailyCheck()
    asked = lookup(history, check, truth)
    assert asked[0] == asked[-1] == (NEWEST, NEWEST + DAY)
    assert asked[1:-1] == [(at, at + HOUR) for at in range(NEWEST, NEWEST + DAY, HOUR)]
    assert check.failed == ""
    history.now += DAY - 1
    assert not begin(history, check)
    history.now += 1
    assert begin(history, check)


@pytest.mark.parametrize(("hour", "wrong"), [(1001, False), (1002, True), (999, False), (998, True), (2000, True)])
def test_hours_that_differ_from_their_day_by_more_than_a_thousandth_are_not_believed(
    history: History, hour: int, wrong: bool
) -> None:
    check = DailyCheck()
    lookup(history, check, lambda start, until: truth(start, until) if until - start == DAY else hour)
    assert bool(check.failed) == wrong
    if wrong:
        assert f"{24 * hour:,} total tokens, their day has 24,000" in check.failed
    history.now += DAY
    lookup(history, check, truth)
    assert not check.failed


def test_a_day_that_still_changes_says_nothing_and_is_looked_at_again_an_hour_later(history: History) -> None:
    check, answers = DailyCheck(), iter([24_000, *[2000] * 24, 48_000])
    lookup(history, check, lambda start, until: next(answers))
    assert check.failed == ""
    assert check.due == history.now + HOUR


def test_without_use_there_is_nothing_to_look_at_and_nothing_against_the_hours() -> None:
    check = DailyCheck(failed="something")
    assert not begin(History(), check)
    assert not check.failed


@pytest.mark.parametrize(("minutes", "mine"), [(59, False), (60, True)])
def test_a_look_of_another_instance_is_left_to_it_for_an_hour(history: History, minutes: int, mine: bool) -> None:
    check = DailyCheck()
    begin(history, check)
    check.on_answer(0, use(24_000), history.now)
    history.hour_store("b").put(NEWEST, NEWEST + HOUR, use(1))
    history.now += minutes * 60_000
    assert begin(history, check, "b") == mine


def test_a_look_goes_on_where_a_cycle_left_it(history: History) -> None:
    """An answer that another thread has given already is not taken twice."""
    check = DailyCheck()
    begin(history, check)
    assert [check.on_answer(0, use(24_000), history.now) for _ in range(2)] == [True, False]
    history.now += 5 * 60_000
    assert begin(history, check)
    assert check.next_window == (NEWEST, NEWEST + HOUR)
