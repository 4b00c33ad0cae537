"""Sums of the hours of many series, as budgets add them up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.source import HourSeries, Measurements
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.config.prices import Cost, Price
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger.budgets import COST, TOKENS, Member, known_hours
from maas_usage_check.ledger.period_sums import PeriodSum, period_sum

from ..price_oracle import HOURS, PriceOracle, price_oracles
from .memory_ledger import HOUR, START, MemoryLedger, make_values, one_price
from .test_priced_hours import PricedLedger

PRICE = Price(Decimal("2.0"), Decimal("8.0"))
WINDOW = Window(START - 6 * HOUR, START)


def member(ledger: MemoryLedger, name: str, *unused: Tuple[int, int], price: Optional[Price] = None) -> Member:
    prices = one_price(price) if price else None
    series = HourSeries(name, None, Measurements("", ""), {}, 3 * HOUR, prices, "CNY" if price else "")
    return Member(series, ledger.hour_store(name), unused)


def put(ledger: MemoryLedger, name: str, *hours: int, tokens: int = 100) -> None:
    """Store some hours of a series, by hours ago."""
    for back in hours:
        ledger.hour_store(name).put(START - back * HOUR, START - back * HOUR + HOUR, make_values(tokens))


def test_window(ledger: MemoryLedger) -> None:
    """The first and the last hour are in the window; those beside it are not."""
    for back, tokens in ((7, 10), (6, 100), (1, 1000), (0, 10_000)):
        put(ledger, "a", back, tokens=tokens)
    found = period_sum([member(ledger, "a")], WINDOW)
    assert found == PeriodSum(Usage(1100, 825, 275, 110, 11), Cost(), 2)


def test_nothing_known(ledger: MemoryLedger) -> None:
    """Without a known hour there is no usage, also where a series had no use; without series no hour is known."""
    put(ledger, "a", 7, 0)
    assert period_sum([member(ledger, "a")], WINDOW) == PeriodSum(None, Cost(), 0)
    assert period_sum([member(ledger, "b", (WINDOW.start, WINDOW.end))], WINDOW) == PeriodSum(None, Cost(), 6)
    assert period_sum([], WINDOW) == PeriodSum(None, Cost(), 0)


def test_empty_window(ledger: MemoryLedger) -> None:
    put(ledger, "a", 1)
    assert period_sum([member(ledger, "a")], Window(START, START)) == PeriodSum(None, Cost(), 0)


def test_zero_is_known(ledger: MemoryLedger) -> None:
    put(ledger, "a", *range(1, 7), tokens=0)
    assert period_sum([member(ledger, "a")], WINDOW) == PeriodSum(Usage(0, 0, 0, 0, 0), Cost(), 6)


@pytest.mark.parametrize(("hours", "known"), [(range(1, 7), 6), (range(1, 6), 5), (range(2, 7), 5), ([], 0)])
def test_hours_of_every_series(ledger: MemoryLedger, hours: Any, known: int) -> None:
    """The series of which the least is known counts; what is known of the others is added up all the same."""
    put(ledger, "a", *range(1, 7))
    put(ledger, "b", *hours)
    found = period_sum([member(ledger, "a"), member(ledger, "b", price=PRICE)], WINDOW)
    assert found.usage
    assert (found.hours, found.usage.total_tokens) == (known, 600 + 100 * len(hours))


@pytest.mark.parametrize(("unused_until", "known"), [(5, 4), (4, 5), (3, 6), (2, 6)])
def test_hours_without_use(ledger: MemoryLedger, unused_until: int, known: int) -> None:
    """Hours before the first use of a series need not be stored; each hour counts once."""
    put(ledger, "a", *range(1, 7))
    put(ledger, "b", 3, 2, 1)
    unused = (WINDOW.start - HOUR, START - unused_until * HOUR)
    assert period_sum([member(ledger, "a"), member(ledger, "b", unused)], WINDOW).hours == known


def test_cost(ledger: MemoryLedger) -> None:
    """Series without a price count as use and cost nothing."""
    put(ledger, "a", 1)
    put(ledger, "b", 1, tokens=1000)
    found = period_sum([member(ledger, "a"), member(ledger, "b", price=PRICE)], WINDOW)
    assert found.usage
    assert (found.usage.total_tokens, found.cost.total) == (1100, (750 * PRICE.prompt + 250 * PRICE.completion) / 10**6)


@given(price_oracles(), HOURS, HOURS, st.integers(0, 5 * 24), st.integers(0, 5 * 24))
def test_same_as_budgets(drawn: Tuple[PriceOracle, int], one: Any, other: Any, skipped: int, length: int) -> None:
    """Use, cost and known hours are what budgets say of the same series, one by one."""
    priced = PricedLedger(*drawn, one, other)
    members, start = priced.members, priced.window.start + skipped * HOUR
    until = start + length * HOUR
    found = period_sum(members, Window(start, until))
    assert (found.usage.total_tokens if found.usage else 0) == sum(each.used(TOKENS, start, until) for each in members)
    assert found.cost.total == sum(each.used(COST, start, until) for each in members)
    assert found.hours == min(known_hours(members, start, until))
    assert (found.usage is None) == (not any(each.hour_store.count(start, until) for each in members))
