from __future__ import annotations

from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.ledger.counters import fold, stored_counters, update_counters

from .memory_ledger import DAY, HOUR, START, MemoryLedger


def tokens(ledger: MemoryLedger) -> int:
    return update_counters(ledger.hour_store())[0]


def test_start(ledger: MemoryLedger) -> None:
    """A counter starts at 0 and does not count hours before its history began."""
    ledger.now_ms += 20 * 60_000
    assert tokens(ledger) == 0
    ledger.put(START - HOUR, 1_000)
    assert tokens(ledger) == 0
    ledger.put(START, 30)  # it started before the history began, and ended after
    ledger.put(START + HOUR, 4)
    assert tokens(ledger) == 34


@pytest.mark.parametrize(("late", "counted"), [(-1, 0), (0, 30)])
def test_settled_hours(ledger: MemoryLedger, late: int, counted: int) -> None:
    """A cycle that emits hours leaves an hour that may still fall for one that emits counts."""
    ledger.hour_store()
    ledger.now_ms += 4 * HOUR + late
    ledger.put(START, 30)
    assert update_counters(ledger.hour_store(), settled_only=True)[0] == counted
    assert tokens(ledger) == 30


def test_fold(ledger: MemoryLedger) -> None:
    """Folded hours stay in the counter, are counted once, and are never queried again."""
    tokens(ledger)
    ledger.now_ms += 30 * DAY
    for day in range(4):
        ledger.put(START + day * DAY, 100)
        assert tokens(ledger) == (day + 1) * 100
        fold(ledger.hour_store(), START + day * DAY)
        assert tokens(ledger) == (day + 1) * 100
    assert ledger.hour_store().first_hours(40 * DAY) == (START + 3 * DAY, START + 3 * DAY)


@given(st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 1000), st.booleans()), max_size=40))
def test_running_maximum(changes: List[Tuple[int, int, bool]]) -> None:
    """A counter is the running maximum of the sum of a dictionary of hours."""
    ledger = MemoryLedger()
    tokens(ledger)
    hours, most, frozen = {}, 0, -3
    for at, value, is_updated in changes:
        if at >= frozen:
            ledger.put(START + at * HOUR, value)
            hours[at] = value
        if value % 7 == 0 and is_updated:
            frozen = max(frozen, at - 10)
            fold(ledger.hour_store(), START + frozen * HOUR)
        if is_updated:
            most = max(most, sum(value for at, value in hours.items() if at >= 0))
            assert tokens(ledger) == most
    assert stored_counters(ledger.hour_store())[0] == most
