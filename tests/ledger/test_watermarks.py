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

from .memory_ledger import DAY, HOUR, START, MemoryLedger

TELEGRAF, BY_HAND, AGENT = Consumer("telegraf", HOURS), Consumer("by hand", HOURS), Consumer("agent", INCREMENTS)


def emitted(ledger: MemoryLedger, consumer: Consumer = TELEGRAF) -> List[Tuple[int, int]]:
    return [(hour.start, hour.values[0]) for hour in changed_hours(ledger.hour_store(), consumer, 0)]


def grown(ledger: MemoryLedger, consumer: Consumer = AGENT) -> int:
    hour_store = ledger.hour_store()
    before = stored_counters(hour_store)
    return increments(hour_store, consumer, update_counters(hour_store), before)[0]


def test_collect_by_hand(ledger: MemoryLedger) -> None:
    """It leaves Telegraf every change."""
    emitted(ledger)
    ledger.now_ms += 2 * HOUR
    ledger.put(START - DAY, 1)
    assert emitted(ledger, BY_HAND) == emitted(ledger) == [(START - DAY, 1)]


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_clock_jump(ledger: MemoryLedger, jump: int) -> None:
    """A clock that jumps and returns loses no change."""
    ledger.put(START - DAY, 1)
    emitted(ledger)
    ledger.now_ms += jump
    emitted(ledger)
    ledger.now_ms -= jump
    ledger.now_ms += HOUR
    ledger.put(START - DAY, 2)
    assert (START - DAY, 2) in emitted(ledger)


def test_unsettled_hour_without_use(ledger: MemoryLedger) -> None:
    """It is no point until it is settled."""
    ledger.put(START - HOUR, 0)
    ledger.put(START - 4 * HOUR, 0)
    assert emitted(ledger) == [(START - 4 * HOUR, 0)]
    ledger.now_ms += 3 * HOUR
    ledger.put(START - HOUR, 0)
    assert (START - HOUR, 0) in emitted(ledger)


def test_unsettled_hour_corrected_to_zero(ledger: MemoryLedger) -> None:
    """The correction is emitted."""
    ledger.put(START - HOUR, 5)
    emitted(ledger)
    ledger.now_ms += 2 * HOUR
    ledger.put(START - HOUR, 0)
    assert emitted(ledger) == [(START - HOUR, 0)]


def test_new_consumer_of_increments(ledger: MemoryLedger) -> None:
    """An agent whose check has a new id gets the increments of this cycle, and none twice."""
    grown(ledger)
    ledger.put(START, 100)
    grown(ledger)
    ledger.put(START + HOUR, 7)
    assert grown(ledger, Consumer("agent with another id", INCREMENTS)) == 7


def test_two_agents(ledger: MemoryLedger) -> None:
    """Each of them gets each unit once."""
    other = Consumer("another agent", INCREMENTS)
    assert [grown(ledger), grown(ledger, other)] == [0, 0]
    ledger.put(START, 100)
    assert [grown(ledger), grown(ledger, other), grown(ledger)] == [100, 100, 0]
    ledger.put(START, 60)
    ledger.put(START + HOUR, 70)
    assert [grown(ledger), grown(ledger, other)] == [30, 30]


def test_series_without_use(ledger: MemoryLedger) -> None:
    """A consumer with cycles keeps its watermark of a series without use."""
    emitted(ledger)
    for _ in range(5):
        ledger.now_ms += 10 * DAY
        changed_hours(ledger.hour_store("another"), TELEGRAF, 0)
        delete_idle_consumers(ledger.transaction)
    assert not is_new(ledger.hour_store(), TELEGRAF)


@pytest.mark.parametrize(("late", "known"), [(0, True), (1, False)])
def test_idle_consumer(ledger: MemoryLedger, late: int, known: bool) -> None:
    """It is deleted after 40 days without a cycle."""
    emitted(ledger)
    ledger.now_ms += 40 * DAY + late
    delete_idle_consumers(ledger.transaction)
    assert is_new(ledger.hour_store(), TELEGRAF) != known
