"""Prices of models; wrong ones are in the folder `wrong`."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config import load_instance
from maas_usage_check.config.prices import Price, Prices
from maas_usage_check.errors import ConfigError

PRICES = st.decimals(0, 10_000, places=4)


def test_prices_are_exact_decimals() -> None:
    prices = {"currency": "CNY", "models": {"deepseek": {"prompt": 2.0, "completion": 1_000_000_000}}}
    read = load_instance({"models": True, "hourly": True, "prices": prices}, {}, "instances[0]").prices
    assert read == Prices("CNY", {"deepseek": Price(Decimal("2.0"), Decimal(1_000_000_000))})


@given(PRICES, PRICES, st.integers(0, 10**15), st.integers(0, 10**15))
def test_cost_is_exact(prompt: Decimal, completion: Decimal, prompt_tokens: int, completion_tokens: int) -> None:
    cost = Price(prompt, completion).cost(prompt_tokens, completion_tokens)
    assert Fraction(cost) == (Fraction(prompt) * prompt_tokens + Fraction(completion) * completion_tokens) / 1_000_000


@pytest.mark.parametrize("key", ["model", "maas_api_id", "maas_key_id", "api_key", "currency"])
def test_tags_of_models_are_reserved(key: str) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` is a tag that the plugin sets"):
        load_instance({"tags": [f"{key}:x"]}, {}, "instances[0]")
