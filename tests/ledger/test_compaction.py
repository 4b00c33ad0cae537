from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from typing import Dict, List, Optional, Tuple

import pytest

from maas_usage_check.config.prices import Price
from maas_usage_check.config.ranges import to_ms
from maas_usage_check.config.zones import named_zone
from maas_usage_check.ledger.compaction import OldHours, compact, is_due
from maas_usage_check.ledger.counters import update_counters
from maas_usage_check.ledger.day_store import Day, days
from maas_usage_check.ledger.hour_values import HOURS_KEPT, KEPT

from .memory_ledger import DAY, HOUR, START, MemoryLedger, make_values, one_price

PRICE = Price(Decimal("2.0"), Decimal("8.5"))


def run(ledger: MemoryLedger, zone: str = "UTC", price: Optional[Price] = None, currency: str = "CNY") -> List[Day]:
    """Compact, and return the days."""
    prices = one_price(price) if price else None
    if is_due(ledger.transaction, "a"):
        compact(ledger.transaction, "a", [OldHours(ledger.hour_store(), prices, currency)], lambda: named_zone(zone))
    return days(ledger.hour_store(), 0, START + 999 * DAY)


def bounds(found: List[Day], zone: str) -> List[Tuple[str, str]]:
    starts_ends = ((day.start, day.until) for day in found)
    return [
        tuple(f"{dt.datetime.fromtimestamp(at / 1000, named_zone(zone)):%m-%d %H:%M}" for at in each)
        for each in starts_ends
    ]  # type: ignore[misc]


def put_hours(ledger: MemoryLedger, start: int, count: int) -> Dict[int, int]:
    """Store final hours."""
    tokens = {start + i * HOUR: 100 + i for i in range(count)}
    ledger.now_ms = max(ledger.now_ms, start + (count + 3) * HOUR)
    for at, value in tokens.items():
        ledger.put(at, value)
    return tokens


def at(text: str, zone: str) -> int:
    return to_ms(dt.datetime.fromisoformat(text), named_zone(zone))


@pytest.mark.parametrize(("later", "made"), [(-1, 0), (0, 1), (1, 1)])
def test_day_ends_62_days_ago(ledger: MemoryLedger, later: int, made: int) -> None:
    """Hours are kept for 62 days after the end of their day, and then they are a day."""
    first = START // DAY * DAY
    tokens = put_hours(ledger, first, 48)
    ledger.now_ms = first + DAY + HOURS_KEPT + later
    found = run(ledger)
    assert len(found) == made
    assert len(ledger.known_hours()) == 48 - 24 * made
    if made:
        sums = tuple(map(sum, zip(*(make_values(tokens[first + i * HOUR]) for i in range(24)))))
        assert found == [Day(first, first + DAY, 24, sums)]


@pytest.mark.parametrize(
    ("zone", "start", "until", "hours"),
    [
        ("Asia/Shanghai", "03-28 00:00", "03-29 00:00", 24),
        ("Asia/Kolkata", "03-28 00:30", "03-29 00:30", 24),  # the first hour of UTC that begins on the day
        ("Europe/Berlin", "03-29 00:00", "03-30 00:00", 23),
        ("Europe/Berlin", "10-25 00:00", "10-26 00:00", 25),
        ("Asia/Shanghai", "02-29 00:00", "03-01 00:00", 24),
    ],
)
def test_days_of_zone(ledger: MemoryLedger, zone: str, start: str, until: str, hours: int) -> None:
    """A day has the hours that begin in it, also where clocks change or a leap day comes."""
    year = "2028" if start.startswith("02-29") else "2026"
    first = at(f"{year}-{start}", zone)
    ledger.now_ms = first - DAY
    put_hours(ledger, first - HOUR, hours + 3)
    ledger.now_ms = first + 40 * DAY + HOURS_KEPT
    found = run(ledger, zone)
    assert (start, until) == bounds(found, zone)[1]
    assert [day.hours for day in found] == [1, hours, 2]


def test_partly_known_day(ledger: MemoryLedger) -> None:
    """A day says how many of its hours are known; a day without any is no day."""
    first = START // DAY * DAY
    put_hours(ledger, first + 3 * HOUR, 5)
    put_hours(ledger, first + 2 * DAY, 24)
    ledger.now_ms = first + 3 * DAY + HOURS_KEPT
    assert [(day.start, day.hours) for day in run(ledger)] == [(first, 5), (first + 2 * DAY, 24)]


def test_hours_that_were_never_final(ledger: MemoryLedger) -> None:
    """An hour that was last seen before it was final may be too low: its day does not have it."""
    first = START // DAY * DAY
    put_hours(ledger, first, 20)
    ledger.now_ms = first + 22 * HOUR
    ledger.put(first + 20 * HOUR, 7)
    ledger.now_ms = first + 3 * DAY + HOURS_KEPT
    (day,) = run(ledger)
    assert (day.hours, day.values[0]) == (20, sum(range(100, 120)))
    assert ledger.known_hours() == {}


def test_zone_changes(ledger: MemoryLedger) -> None:
    """Days keep their bounds; the next one begins where they end."""
    first = at("2026-05-01", "UTC")
    ledger.now_ms = first
    put_hours(ledger, first, 96)
    ledger.now_ms = first + 2 * DAY + HOURS_KEPT
    assert bounds(run(ledger), "UTC") == [("05-01 00:00", "05-02 00:00"), ("05-02 00:00", "05-03 00:00")]
    ledger.now_ms += 2 * DAY
    found = run(ledger, "Asia/Shanghai")
    assert bounds(found, "UTC")[2:] == [("05-03 00:00", "05-03 16:00"), ("05-03 16:00", "05-04 16:00")]
    assert sum(day.hours for day in found) + len(ledger.known_hours()) == 96


def test_price_of_a_day_stays(ledger: MemoryLedger) -> None:
    """A later edit of the file does not price a day again, and a day without a price has no cost."""
    first = START // DAY * DAY
    put_hours(ledger, first, 24 * 4)
    ledger.now_ms = first + DAY + HOURS_KEPT
    (day,) = run(ledger, price=PRICE)
    cost = PRICE.cost(day.values[1], day.values[2])
    assert (day.price, day.currency) == (PRICE, "CNY")
    ledger.now_ms += DAY
    run(ledger, price=None)
    ledger.now_ms += DAY
    found = run(ledger, price=Price(Decimal(3), Decimal(9)))
    assert found[0].cost("CNY") == cost
    assert found[1].cost("CNY") is None
    assert found[2].cost("CNY") == Price(Decimal(3), Decimal(9)).cost(found[2].values[1], found[2].values[2])
    assert found[0].cost("USD") is None


@pytest.mark.parametrize("later", [0, 1])
def test_file_without_prices_waits(ledger: MemoryLedger, later: int) -> None:
    """Of two files over one state, the one without prices leaves the days to the other for a day, and no longer."""
    first = START // DAY * DAY
    put_hours(ledger, first, 24)
    ledger.now_ms = first + DAY + HOURS_KEPT + DAY * later
    without = OldHours(ledger.hour_store(), kept_ms=HOURS_KEPT + DAY)
    compact(ledger.transaction, "without", [without], lambda: named_zone("UTC"))
    (day,) = run(ledger, price=PRICE)
    assert day.price == (None if later else PRICE)


def test_lost_price(ledger: MemoryLedger) -> None:
    """A day whose price was lost is damage, and not a day without a cost."""
    first = START // DAY * DAY
    put_hours(ledger, first, 24)
    ledger.now_ms = first + DAY + HOURS_KEPT
    run(ledger, price=PRICE)
    ledger.transaction.run("DELETE FROM prices WHERE id <> 0")
    with pytest.raises(sqlite3.DatabaseError, match="of a row is invalid"):
        days(ledger.hour_store(), first, first + DAY)


def test_day_without_use_costs_nothing(ledger: MemoryLedger) -> None:
    first = START // DAY * DAY
    ledger.hour_store().put(first, first + DAY, (0,) * 5)
    ledger.now_ms = first + DAY + HOURS_KEPT
    (day,) = run(ledger, price=PRICE)
    assert day.cost("CNY") == 0


@pytest.mark.parametrize(("later", "left"), [(0, 2), (1, 1), (DAY + 1, 0)])
def test_days_are_deleted_after_13_months(ledger: MemoryLedger, later: int, left: int) -> None:
    first = START // DAY * DAY
    put_hours(ledger, first, 48)
    ledger.now_ms = first + 300 * DAY
    assert len(run(ledger, price=PRICE)) == 2
    ledger.now_ms = first + KEPT + later
    assert len(run(ledger, price=PRICE)) == left


def test_counter_keeps_what_is_a_day(ledger: MemoryLedger) -> None:
    """A counter neither falls nor counts an hour twice, whether its hours are kept, folded, or days."""
    ledger.hour_store()
    total = sum(put_hours(ledger, START, 48).values())
    for age in range(100):
        ledger.now_ms = START + age * DAY
        run(ledger)
        assert update_counters(ledger.hour_store())[0] == total


def test_once_an_hour(ledger: MemoryLedger) -> None:
    """The second time within an hour nothing is done: it reads many rows."""
    ledger.now_ms = START // DAY * DAY + 90 * DAY + 1
    run(ledger)
    put_hours(ledger, START // DAY * DAY + 10 * DAY, 24)
    ledger.now_ms += HOUR - 1
    assert run(ledger) == []
    ledger.now_ms += 1
    assert len(run(ledger)) == 1
