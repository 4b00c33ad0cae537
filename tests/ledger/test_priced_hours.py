"""The sums of many hours by their price, in hours, in days, in budgets and by key, against an oracle of its own."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any, DefaultDict, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.source import HourSeries, Measurements
from maas_usage_check.config.prices import Price
from maas_usage_check.config.ranges import Window, to_ms
from maas_usage_check.config.zones import named_zone
from maas_usage_check.ledger.budgets import COST, Member
from maas_usage_check.ledger.compaction import OldHours, compact
from maas_usage_check.ledger.day_store import Day, days
from maas_usage_check.ledger.hour_values import HOURS_KEPT
from maas_usage_check.ledger.key_costs import KeyCosts
from maas_usage_check.ledger.known_usage import Span, read_days
from maas_usage_check.ledger.priced_hours import priced_sums

from ..price_oracle import HOURS, PriceOracle, price_oracles
from .memory_ledger import DAY, HOUR, MemoryLedger

Name = Optional[Tuple[str, bool]]
"""Of a price: its date, and whether it is off-peak."""
Sums = Dict[Tuple[int, Name], List[int]]
"""Total, prompt, completion and cached tokens by series and price."""


class PricedLedger:
    """Hours of series `a` and `b` with the same prices, a day after the last of them."""

    def __init__(self, oracle: PriceOracle, first: int, *hours: Dict[int, Tuple[int, int]]) -> None:
        self.oracle, self.prices = oracle, oracle.model_prices
        self.window = Window(first, first + 5 * DAY)
        self.hours = [{first + number * HOUR: tokens for number, tokens in each.items()} for each in hours]
        self.ledger = MemoryLedger()
        self.ledger.now_ms = first + 6 * DAY
        for hour_store, each in zip(self.stores, self.hours):
            hour_store.put_each([(at, (sum(tokens), *tokens, 7, 1)) for at, tokens in each.items()])

    @property
    def whole(self) -> Tuple[int, int]:
        return self.window.start - DAY, self.window.start + 40 * DAY

    @property
    def stores(self) -> List[Any]:
        return [self.ledger.hour_store(name) for name in "ab"[: len(self.hours)]]

    @property
    def members(self) -> List[Member]:
        return [
            Member(
                HourSeries(name, None, Measurements("", ""), tags(name), 3 * HOUR, self.prices, "CNY"),
                self.ledger.hour_store(name),
            )
            for name in "ab"[: len(self.hours)]
        ]

    def expected(self, start: int = 0, until: int = 2**62) -> Sums:
        """Add up the oracle's parts of the hours in a window."""
        sums: DefaultDict[Tuple[int, Name], List[int]] = defaultdict(lambda: [0] * 4)
        for number, hours in enumerate(self.hours):
            for at, tokens in hours.items():
                if start <= at < until:
                    for part in self.oracle.parts(at, sum(tokens), *tokens):
                        own = sums[number, part.price]
                        own[:] = map(sum, zip(own, part[1:5]))
        return dict(sums)

    def cost(self, number: int, start: int = 0, until: int = 2**62) -> Fraction:
        hours = (hour for hour in self.hours[number].items() if start <= hour[0] < until)
        return sum((cost for at, used in hours for cost in self.oracle.cost(at, *used)), Fraction(0))


def tags(name: str) -> Dict[str, str]:
    return {"maas_api_id": "m", "maas_key_id": name, "api_key": f"key {name}"}


def name_of(price: Optional[Price]) -> Name:
    return (price.since, price.is_off_peak) if price else None


@given(
    price_oracles(), HOURS, HOURS, st.integers(0, 5 * 24), st.integers(0, 5 * 24)
)  # fmt: skip
def test_sums(drawn: Tuple[PriceOracle, int], one: Any, other: Any, skipped: int, length: int) -> None:
    """The database adds up the parts of each hour of a window by price, exactly, and counts each hour once."""
    priced = PricedLedger(*drawn, one, other)
    start = priced.window.start + skipped * HOUR
    until = start + length * HOUR
    ids = [each.id for each in priced.stores]
    prices = dict.fromkeys(ids, priced.prices)
    sums: DefaultDict[Tuple[int, Name], List[int]] = defaultdict(lambda: [0] * 4)
    hours, requests, costs = [0, 0], [0, 0], [Fraction(0), Fraction(0)]
    for series, each in priced_sums(priced.ledger.transaction, prices, start, until):
        number = ids.index(series)
        own = sums[number, name_of(each.price)]
        own[:] = map(sum, zip(own, (*each.values[:3], each.cached)))
        hours[number] += each.hours
        requests[number] += each.values[3]
        costs[number] += Fraction(each.cost.prompt) + Fraction(each.cost.completion)
    assert {key: own for key, own in sums.items() if any(own)} == {
        key: own for key, own in priced.expected(start, until).items() if any(own)
    }
    known = [sum(start <= at < until for at in each) for each in priced.hours]
    assert (hours, requests) == (known, [7 * count for count in known])
    assert costs == [priced.cost(number, start, until) for number in (0, 1)]
    within = [Fraction(each.used(COST, start, until)) for each in priced.members]
    assert within == costs


@given(price_oracles(), HOURS, st.integers(0, 5))
def test_days(drawn: Tuple[PriceOracle, int], hours: Any, made: int) -> None:
    """A day has a part for each price of its hours; days and hours together cost what the hours did."""
    priced = PricedLedger(*drawn, hours)
    priced.ledger.now_ms = priced.window.start + made * DAY + HOURS_KEPT
    zone = named_zone(priced.oracle.zone)
    (member,) = priced.members
    old = OldHours(member.hour_store, priced.prices, "CNY")
    compact(priced.ledger.transaction, "a", [old], lambda: zone)
    found = days(member.hour_store, 0, 2**62)
    until = max((day.until for day in found), default=0)
    sums = {(0, name_of(day.price)): [0] * 4 for day in found}
    for day in found:
        own = sums[0, name_of(day.price)]
        own[:] = map(sum, zip(own, (*day.values[:3], day.cached)))
    used = {key: own for key, own in priced.expected(0, until).items() if any(own)}
    assert {key: own for key, own in sums.items() if any(own)} == used
    assert sum(day.hours for day in found) == sum(at < until for at in priced.hours[0])
    costs = [day.cost("CNY") for day in found]
    assert sum(Fraction(cost) for cost in costs if cost is not None) == priced.cost(0, 0, until)
    for day, cost in zip(found, costs):
        assert (cost is None) == (day.price is None and any(day.values))
    for span, usage, tokens in read_days(days(member.hour_store, 0, 2**62), "CNY"):
        parts = [day for day in found if day.start == span.start]
        assert (span.hours, usage.total_tokens) == (
            sum(day.hours for day in parts), sum(day.values[0] for day in parts)
        )  # fmt: skip
        assert sum(Fraction(each.cost.total) for each in tokens if each.cost) == priced.cost(0, span.start, span.until)
    assert Fraction(member.used(COST, *priced.whole)) == priced.cost(0)


@given(price_oracles(), HOURS, HOURS)
def test_keys(drawn: Tuple[PriceOracle, int], one: Any, other: Any) -> None:
    """The cost of each API key in known hours is that of its hours, also where days keep them."""
    priced = PricedLedger(*drawn, one, other)
    zone = named_zone(priced.oracle.zone)
    for made in (0, 3):
        priced.ledger.now_ms = priced.window.start + made * DAY + HOURS_KEPT
        old = [OldHours(each, priced.prices, "CNY") for each in priced.stores]
        compact(priced.ledger.transaction, str(made), old, lambda: zone)
        labels = {each.series.tags["api_key"] for each in priced.members}
        costs = KeyCosts(priced.ledger.transaction, priced.members, labels)
        spans = [Span(priced.window.start - DAY, priced.window.end + DAY, 0)]
        assert {label: cost and Fraction(cost) for label, cost in costs.of(spans).items()} == {
            "key a": priced.cost(0), "key b": priced.cost(1)
        }  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Australia/Adelaide", "2026-04-04T16:30"),
        ("Australia/Adelaide", "2026-10-03T16:30"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),
        ("Europe/Berlin", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-10-25T01:00"),
    ],
)
@pytest.mark.parametrize("hours", ["02:15-02:45", "02:00-03:00", "00:30-08:30", "22:45-03:15"])
def test_clock_changes(zone: str, change: str, hours: str) -> None:
    """On both sides of a change of the clock, and in the hour in which it changes, off-peak hours are of local time."""
    first = to_ms(dt.datetime.fromisoformat(change), dt.timezone.utc) // HOUR * HOUR - 36 * HOUR
    entry = {"prompt": 1, "completion": 2, "off_peak": {"hours": hours, "prompt": 100, "completion": 300}}
    priced = PricedLedger(PriceOracle([entry], zone), first, dict.fromkeys(range(72), (601, 59)))
    (member,) = priced.members
    for at in range(first, first + 72 * HOUR, HOUR):
        assert Fraction(member.used(COST, at, at + HOUR)) == priced.cost(0, at, at + HOUR)
    for at in range(first, first + 72 * HOUR, 5 * HOUR):
        assert Fraction(member.used(COST, at, first + 72 * HOUR)) == priced.cost(0, at)


OFF_PEAK = {
    "prompt": 3,
    "completion": 9,
    "off_peak": {
        "hours": "00:30-00:45",
        "prompt": 999_999_999.999,
        "completion": 123_456_789.123,
        "cached_prompt": 1e-9,
    },
}


@pytest.fixture
def largest() -> PricedLedger:
    """Five days of hours with as many tokens as an hour can have, at a high price and a share with 6 decimals."""
    oracle = PriceOracle([OFF_PEAK], "UTC", 0.999999)
    return PricedLedger(oracle, 1_793_491_200_000, {number: (10**14 - number, 10**14) for number in range(5 * 24)})


def test_largest_numbers(largest: PricedLedger) -> None:
    """Nothing overflows the integers of the database, and no cost is rounded."""
    largest.ledger.now_ms = largest.window.end + HOURS_KEPT
    (member,) = largest.members
    assert Fraction(member.used(COST, *largest.whole)) == largest.cost(0)
    old = OldHours(member.hour_store, largest.prices, "CNY")
    compact(largest.ledger.transaction, "a", [old], lambda: named_zone("UTC"))
    found = days(member.hour_store, 0, 2**62)
    assert len(found) == 2 * 5
    assert sum(Fraction(day.cost("CNY") or 0) for day in found) == largest.cost(0)
    assert largest.ledger.known_hours() == {}
    assert Fraction(member.used(COST, *largest.whole)) == largest.cost(0)


@pytest.mark.parametrize("column", ["total_tokens", "prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("value", [-1, "'x'", 4 * 10**14, "NULL"])
def test_invalid_number(largest: PricedLedger, column: str, value: Any) -> None:
    """An invalid number makes no cost, also in an hour that is split."""
    for hour in (0, 5):
        statement = f"UPDATE hours SET {column} = {value} WHERE start = ?"
        ledger = largest.ledger
        ledger.transaction.run(statement, (largest.window.start + hour * HOUR,))
        with pytest.raises(sqlite3.DatabaseError, match="a sum is not a valid integer"):
            list(priced_sums(ledger.transaction, {largest.stores[0].id: largest.prices}, *largest.whole))


def test_stored_price(largest: PricedLedger) -> None:
    """Each day keeps all of its prices, also once the file has others."""
    largest.ledger.now_ms = largest.window.start + DAY + HOURS_KEPT
    (member,) = largest.members
    old = OldHours(member.hour_store, largest.prices, "CNY")
    compact(largest.ledger.transaction, "a", [old], lambda: named_zone("UTC"))
    one, other = days(member.hour_store, 0, 2**62)
    start = largest.window.start
    assert [each[:3] for each in (one, other)] == [(start, start + DAY, 24), (start, start + DAY, 0)]
    assert {one.price, other.price} == {
        Price(Decimal(3), Decimal(9)),
        Price(Decimal("999999999.999"), Decimal("123456789.123"), Decimal("1e-9"), is_off_peak=True),
    }
    assert isinstance(one, Day)
