"""Names and prices of models: what is taken, and how what is wrong is named."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config import load_instance
from maas_usage_check.config.prices import Price, Prices
from maas_usage_check.errors import ConfigError

ON = {"models": True, "hourly": True}
PRICES = st.decimals(0, 10_000, places=4)
PRICE = {"prompt": 2.0, "completion": 8}


def prices(**more: Any) -> Dict[str, Any]:
    return {**ON, "prices": {"currency": "CNY", "models": {"deepseek": PRICE}, **more}}


def wrong(**keys: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load_instance(keys, {}, "instances[0]")
    return str(refused.value)


def test_prices_are_read_as_they_are_written() -> None:
    read = load_instance(prices(), {}, "instances[0]").prices
    assert read == Prices("CNY", {"deepseek": Price(Decimal("2.0"), Decimal(8))})


@given(PRICES, PRICES, st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_cost_is_exact_to_the_last_decimal(prompt: Decimal, completion: Decimal, sent: int, back: int) -> None:
    cost = Price(prompt, completion).cost(sent, back)
    assert Fraction(cost) == (Fraction(prompt) * sent + Fraction(completion) * back) / 1_000_000


@pytest.mark.parametrize("amount", [-1, -0.01, "2", True, None, [], {}, float("nan"), float("inf"), 1e300, 10**30])
@pytest.mark.parametrize("part", ["prompt", "completion"])
def test_a_price_that_is_none_is_named(part: str, amount: Any) -> None:
    text = wrong(**prices(models={"deepseek": {**PRICE, part: amount}}))
    assert text.startswith(f"instances[0].prices.models.deepseek.{part}: must be")


@pytest.mark.parametrize(
    ("models", "what"),
    [
        ({}, "prices.models: must be a mapping from a model's id, with at least one"),
        (None, "prices.models: must be a mapping"),
        ([], "prices.models: must be a mapping"),
        ({"a": {}}, "prices.models.a.prompt: must be a number"),
        ({"a": {"prompt": 1}}, "prices.models.a.completion: must be a number"),
        ({"a": 2.0}, "prices.models.a: must be a mapping of prompt and completion"),
        ({"a": {**PRICE, "promt": 1}}, "prices.models.a.promt: this key is not known; did you mean `prompt`?"),
        ({"": PRICE}, "put it in quotes"),
        ({7: PRICE}, "put it in quotes"),
    ],
)
def test_prices_that_are_for_nothing_are_named(models: Any, what: str) -> None:
    assert what in wrong(**prices(models=models))


@pytest.mark.parametrize("currency", ["", "yuan", "cny", 3, None, "CNYY"])
def test_a_currency_that_is_none_is_named(currency: Any) -> None:
    assert "prices.currency: must be three capital letters" in wrong(**prices(currency=currency))


@pytest.mark.parametrize("off", [{"models": False}, {"hourly": False}])
def test_prices_need_models_and_hours(off: Any) -> None:
    text = wrong(**{**prices(), **off})
    assert text.startswith("instances[0].prices: needs `models: true` and `hourly: true`")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ({}, "model_names: must be a mapping"),
        (["a"], "model_names: must be a mapping"),
        ({1: "a"}, "put it in quotes"),
        ({"id": ""}, "model_names.id: must be a name in quotes"),
        ({"id": 5}, "model_names.id: must be a name in quotes"),
        ({"id": "a\\"}, "model_names.id: a tag's key or value must not end in a backslash"),
        ({"id": "a\nb"}, "model_names.id: a tag must not hold a control character"),
    ],
)
def test_a_name_that_cannot_be_a_tag_is_refused(names: Any, what: str) -> None:
    assert what in wrong(models=True, model_names=names)


@pytest.mark.parametrize("key", ["model", "maas_api_id", "maas_key_id", "api_key", "currency"])
def test_the_tags_of_models_are_the_plugins_own(key: str) -> None:
    assert f"`{key}` is a tag that the plugin sets" in wrong(tags=[f"{key}:x"])
