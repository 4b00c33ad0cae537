"""The rows of a model's tokens by key: they add up to it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.cloud_eye import Dimensions
from maas_usage_check.commands.report.key_rows import ROUNDED, KeyRow, key_rows
from maas_usage_check.commands.report.periods import Part
from maas_usage_check.config.model_prices import PricedTokens
from maas_usage_check.config.prices import Price
from maas_usage_check.ledger.known_usage import Span, hour_span

HOUR = 3_600_000
DAY = 24 * HOUR
A, B, C = (Dimensions("model", key) for key in "abc")
PRICE, CHEAP = Price(Decimal(2), Decimal(8), Decimal("0.5")), Price(Decimal(1), Decimal(4), since="2026-10-20")
PARTS = [Part("day", 0, DAY), Part("day", DAY, 2 * DAY)]


def tokens(prompt: int, completion: int = 0, cached: int = 0, price: Any = CHEAP) -> List[PricedTokens]:
    return [PricedTokens(price, prompt + completion, prompt, completion, cached)]


@given(
    total=st.integers(0, 100),
    used=st.lists(st.integers(0, 60), max_size=3),
    at=st.sampled_from([0, 5 * HOUR, DAY - HOUR, DAY]),
)
def test_rows_of_a_model_add_up_to_it(total: int, used: List[int], at: int) -> None:
    """Keys have their own tokens, or, if they exceed the model, it has one row without a key."""
    span = hour_span(at)
    keys = {key: {span: tokens(count)} for key, count in zip((A, B, C), used)}
    rows = list(key_rows({span: tokens(total)}, keys.items(), PARTS))
    assert sum(row.tokens for row in rows) == total
    expected = {key: count for key, count in zip((A, B, C), used) if count}
    if sum(used) > total:
        expected = {}
    by_key = {row.key: row.tokens for row in rows}
    rest = by_key.pop(None, 0)
    assert by_key == expected
    assert rest == total - sum(expected.values())
    assert all(row.tokens > 0 and (row.start, row.end) == (at // DAY * DAY, at // DAY * DAY + DAY) for row in rows)


@pytest.mark.parametrize(("excess", "has_keys"), [(3 * ROUNDED, True), (3 * ROUNDED + 1, False)])
def test_rounding_of_keys(excess: int, has_keys: bool) -> None:
    """Keys that exceed their model by rounding lose as much, the largest first."""
    span = hour_span(0)
    keys = {A: {span: tokens(5, price=PRICE)}, B: {span: tokens(40 + excess, price=PRICE)}}
    rows = list(key_rows({span: tokens(55, cached=10, price=PRICE)}, keys.items(), PARTS))
    of_prompt = {row.key: row.tokens for row in rows if row.kind == "prompt"}
    assert of_prompt == ({A: 5, B: 40} if has_keys else {None: 45})
    assert [row for row in rows if row.kind == "cached_prompt"] == [
        KeyRow(0, DAY, None, PRICE, "cached_prompt", 10),
    ]


def test_day_of_another_zone() -> None:
    """A stored day that lies in no period of the report is a period of its own."""
    rows = list(key_rows({Span(8 * HOUR, 32 * HOUR, 24): tokens(7)}, [], PARTS))
    assert rows == [KeyRow(8 * HOUR, 32 * HOUR, None, CHEAP, "prompt", 7)]
