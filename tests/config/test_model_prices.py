"""The price of each part of an hour, against an oracle of its own; see also tests/ledger/test_priced_hours.py."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given

from maas_usage_check.config.model_prices import ModelPrices
from maas_usage_check.config.ranges import to_ms
from maas_usage_check.config.zones import named_zone

from ..price_oracle import HOUR, HOURS, PriceOracle, price_oracles

PRICE = {"prompt": 2, "completion": 8}
CHEAP = {"prompt": 1, "completion": 4}


def at(text: str, zone: str) -> int:
    return to_ms(dt.datetime.fromisoformat(text), named_zone(zone))


def prices(*entries: Dict[str, Any], zone: str = "Asia/Shanghai") -> ModelPrices:
    return PriceOracle(entries, zone).model_prices


def split(model_prices: ModelPrices, start: int, tokens: int = 100) -> List[Tuple[Any, int]]:
    """Return the prompt price and the prompt tokens of each part of an hour."""
    return [(each.price and int(each.price.prompt), each.prompt) for each in model_prices.split(start, 0, tokens, 0)]


@given(price_oracles(), HOURS)
def test_hours(drawn: Tuple[PriceOracle, int], hours: Dict[int, Tuple[int, int]]) -> None:
    """Each part has the price, tokens and cost of the oracle; the parts add up to the hour."""
    oracle, first = drawn
    model_prices = oracle.model_prices
    for number, (prompt, completion) in hours.items():
        start, total = first + number * HOUR, prompt + completion
        expected = oracle.parts(start, total, prompt, completion)
        found = list(model_prices.split(start, total, prompt, completion))
        assert [
            (each.price and (each.price.since, each.price.is_off_peak), *each[1:]) for each in found
        ] == [each[:5] for each in expected]  # fmt: skip
        for each, part in zip(found, expected):
            assert each.cost is None or (Fraction(each.cost.prompt), Fraction(each.cost.completion)) == part.costs
        assert [sum(column) for column in zip(*(each[1:4] for each in found))] == [total, prompt, completion]
        cost = model_prices.cost(start, prompt, completion)
        if expected[0].price is None:
            assert cost is None
        else:
            assert cost is not None
            assert (Fraction(cost.prompt), Fraction(cost.completion)) == oracle.cost(start, prompt, completion)
            assert Fraction(cost.total) == sum(oracle.cost(start, prompt, completion))


@pytest.mark.parametrize(
    ("hours", "start", "parts"),
    [
        ("00:30-08:30", "00:00", [(2, 50), (1, 50)]),
        ("00:30-08:30", "07:00", [(1, 100)]),
        ("00:30-08:30", "08:00", [(1, 50), (2, 50)]),
        ("00:30-08:30", "09:00", [(2, 100)]),
        ("22:00-06:00", "21:00", [(2, 100)]),
        ("22:00-06:00", "22:00", [(1, 100)]),
        ("22:00-06:00", "05:00", [(1, 100)]),
        ("22:00-06:00", "06:00", [(2, 100)]),
        ("22:00-24:00", "23:00", [(1, 100)]),
        ("22:00-24:00", "00:00", [(2, 100)]),
        ("00:00-24:00", "12:00", [(1, 100)]),
        ("12:10-12:30", "12:00", [(2, 16), (1, 34), (2, 50)]),
        ("12:30-12:10", "12:00", [(1, 16), (2, 34), (1, 50)]),
        ("12:59-12:00", "12:00", [(2, 98), (1, 2)]),
    ],
)
def test_off_peak_hours(hours: str, start: str, parts: Any) -> None:
    """An hour that a boundary cuts is split in whole tokens."""
    found = prices({**PRICE, "off_peak": {"hours": hours, **CHEAP}})
    assert split(found, at(f"2026-11-23T{start}", "Asia/Shanghai")) == parts


@pytest.mark.parametrize(
    ("zone", "hours", "parts"),
    [
        ("Australia/Adelaide", "02:00-03:00", [(1, 100)]),
        ("Australia/Adelaide", "02:30-03:00", [(1, 50), (2, 50)]),
        ("Australia/Adelaide", "02:15-02:45", [(1, 25), (2, 50), (1, 25)]),
        ("Europe/Berlin", "02:00-03:00", [(2, 100)]),
        ("UTC", "16:30-02:00", [(2, 50), (1, 50)]),
    ],
)
def test_clock_is_set_back(zone: str, hours: str, parts: Any) -> None:
    """At 16:30 UTC it is 02:00 in Adelaide again: the minutes that come twice are off-peak twice."""
    found = prices({**PRICE, "off_peak": {"hours": hours, **CHEAP}}, zone=zone)
    assert split(found, at("2026-04-04T16:00", "UTC")) == parts


@pytest.mark.parametrize(
    ("hours", "parts"),
    [
        ("02:00-03:00", [(2, 100)]),
        ("02:00-03:15", [(2, 50), (1, 25), (2, 25)]),
        ("01:45-03:15", [(2, 25), (1, 50), (2, 25)]),
        ("03:00-02:00", [(1, 100)]),
    ],
)
def test_clock_is_set_forward(hours: str, parts: Any) -> None:
    """At 16:30 UTC it is 03:00 in Adelaide at once: hours that do not come are not off-peak."""
    found = prices({**PRICE, "off_peak": {"hours": hours, **CHEAP}}, zone="Australia/Adelaide")
    assert split(found, at("2026-10-03T16:00", "UTC")) == parts


@pytest.mark.parametrize(
    ("zone", "before", "date"),
    [
        ("Asia/Shanghai", "2026-11-22T23:00", "2026-11-23T00:00"),
        ("Asia/Kolkata", "2026-11-22T23:30", "2026-11-23T00:30"),  # the hour of UTC that begins before midnight
        ("Europe/Berlin", "2026-11-22T23:00", "2026-11-23T00:00"),
    ],
)
def test_price_of_a_date(zone: str, before: str, date: str) -> None:
    """An hour has the price of its first moment; before the first date there is no price."""
    dated = {**CHEAP, "from": "2026-11-23"}
    for model_prices, price in ((prices(dated, zone=zone), None), (prices(PRICE, dated, zone=zone), 2)):
        assert split(model_prices, at(before, zone)) == [(price, 100)]
        assert split(model_prices, at(date, zone)) == [(1, 100)]
    assert prices(dated, zone=zone).cost(at(before, zone), 1, 1) is None


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_extreme_dates(date: str) -> None:
    """The first and the last date of the calendar are dates."""
    is_valid = date.startswith("0")
    assert split(prices({**PRICE, "from": date}), at("2026-11-23", "UTC")) == [(2 if is_valid else None, 100)]


@pytest.mark.parametrize(("tokens", "cached"), [(0, 0), (2, 0), (3, 1), (1000, 400), (10**13 + 4, 4 * 10**12 + 1)])
def test_cached_tokens(tokens: int, cached: int) -> None:
    """Of the prompt, the share rounded down is cached."""
    price = {**PRICE, "cached_prompt": 0.5, "cached_share": 0.4}
    (part,) = prices(price).split(0, 0, tokens, 0)
    assert part.cached == cached
    assert part.cost is not None
    assert part.cost.prompt == (2 * Decimal(tokens - cached) + Decimal("0.5") * cached) / 1_000_000


def test_cached_share_without_a_price() -> None:
    """Cached tokens without a price of their own have that of the others."""
    for entry in ({**PRICE, "cached_share": 0.4}, PRICE):
        cost = prices(entry).cost(0, 1000, 0)
        assert cost is not None
        assert cost.total == Decimal("0.002")
