from __future__ import annotations

from .memory_ledger import HOUR, START, MemoryLedger, make_values


def test_settled_hour_stays_settled(ledger: MemoryLedger) -> None:
    """Also if the clock goes back."""
    for tokens, now in ((5, START), (6, START - 2 * HOUR)):
        ledger.now_ms = now
        ledger.put(START - 4 * HOUR, tokens)
    assert [(hour.values, hour.settled) for hour in ledger.hour_store().hours(0, START)] == [(make_values(6), True)]


def test_newest_use_end(ledger: MemoryLedger) -> None:
    hour_store = ledger.hour_store()
    assert hour_store.newest_use_end() is None
    hour_store.put(START - 9 * HOUR, START - 8 * HOUR, make_values(5))
    hour_store.put(START - 6 * HOUR, START - 5 * HOUR, (0, 0, 0, 1, 1))
    hour_store.put(START - 5 * HOUR, START, make_values(0))
    assert hour_store.newest_use_end() == START - 5 * HOUR
    assert hour_store.newest_use_end(START - 6 * HOUR) == START - 8 * HOUR
