from __future__ import annotations

from typing import Callable, List, Tuple

import pytest

from maas_usage_check.ledger.daily_check import DailyCheck

from .memory_ledger import DAY, HOUR, START, MemoryLedger, make_values

NEWEST = START // DAY * DAY - 2 * DAY
"""The newest day that ended more than 27 hours before START."""


@pytest.fixture
def ledger(ledger: MemoryLedger) -> MemoryLedger:
    ledger.hour_store().put(START - 5 * DAY, START - 3 * HOUR, make_values(1000))
    return ledger


def start(ledger: MemoryLedger, check: DailyCheck, name: str = "a") -> bool:
    return check.start({name: ledger.hour_store(name)}, START - 29 * DAY, ledger.now_ms)


def run_check(ledger: MemoryLedger, check: DailyCheck, answer: Callable[[int, int], int]) -> List[Tuple[int, int]]:
    """Answer all queries of a check; return the queried windows."""
    windows: List[Tuple[int, int]] = []
    more = start(ledger, check)
    while more:
        windows.append(check.next_window)
        more = check.on_answer(len(check.answers), (answer(*windows[-1]),) * 5, ledger.now_ms)
    return windows


def expected(start: int, until: int) -> int:
    return (until - start) // HOUR * 1000


def test_windows(ledger: MemoryLedger) -> None:
    """The newest final day is queried whole, hour by hour, and whole again; a day later the next one."""
    check = DailyCheck()
    windows = run_check(ledger, check, expected)
    assert windows[0] == windows[-1] == (NEWEST, NEWEST + DAY)
    assert windows[1:-1] == [(at, at + HOUR) for at in range(NEWEST, NEWEST + DAY, HOUR)]
    assert check.failed == ""
    ledger.now_ms += DAY - 1
    assert not start(ledger, check)
    ledger.now_ms += 1
    assert start(ledger, check)


@pytest.mark.parametrize(("hour", "wrong"), [(1001, False), (1002, True), (999, False), (998, True), (2000, True)])
def test_difference(ledger: MemoryLedger, hour: int, wrong: bool) -> None:
    """Hours that differ from their day by more than 0.1 % fail the check."""
    check = DailyCheck()
    run_check(ledger, check, lambda start, until: expected(start, until) if until - start == DAY else hour)
    assert bool(check.failed) == wrong
    if wrong:
        assert f"{24 * hour:,} total tokens, their day has 24,000" in check.failed
    ledger.now_ms += DAY
    run_check(ledger, check, expected)
    assert not check.failed


def test_changing_day(ledger: MemoryLedger) -> None:
    """A day that still changes does not fail, and is checked again an hour later."""
    check, answers = DailyCheck(), iter([24_000, *[2000] * 24, 48_000])
    run_check(ledger, check, lambda start, until: next(answers))
    assert check.failed == ""
    assert check.due == ledger.now_ms + HOUR


def test_without_use() -> None:
    """Without use there is nothing to check, and an old failure ends."""
    check = DailyCheck(failed="something")
    assert not start(MemoryLedger(), check)
    assert not check.failed


@pytest.mark.parametrize(("minutes", "starts"), [(59, False), (60, True)])
def test_check_of_another_instance(ledger: MemoryLedger, minutes: int, starts: bool) -> None:
    """It is left to that instance for an hour."""
    check = DailyCheck()
    start(ledger, check)
    check.on_answer(0, make_values(24_000), ledger.now_ms)
    ledger.hour_store("b").put(NEWEST, NEWEST + HOUR, make_values(1))
    ledger.now_ms += minutes * 60_000
    assert start(ledger, check, "b") == starts


def test_continues(ledger: MemoryLedger) -> None:
    """The next cycle continues a check; a second answer to one query is ignored."""
    check = DailyCheck()
    start(ledger, check)
    assert [check.on_answer(0, make_values(24_000), ledger.now_ms) for _ in range(2)] == [True, False]
    ledger.now_ms += 5 * 60_000
    assert start(ledger, check)
    assert check.next_window == (NEWEST, NEWEST + HOUR)
