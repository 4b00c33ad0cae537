"""Prices of models; wrong ones are in the folder `wrong`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config import Instance, load_file, load_instance
from maas_usage_check.config.prices import OffPeak, Price, PricePeriod, Prices
from maas_usage_check.errors import ConfigError

from ..conftest import NOW

PRICES = st.decimals(0, 10_000, places=4)


PRICE = {"prompt": 2, "completion": 8}


def instance(models: Any, cached_share: Optional[float] = None, **keys: Any) -> Instance:
    prices = {"currency": "CNY", "models": models, **({} if cached_share is None else {"cached_share": cached_share})}
    return load_instance({"models": True, "hourly": True, "prices": prices, **keys}, {}, "instances[0]")


def read(entry: Any, cached_share: Optional[float] = None) -> Sequence[PricePeriod]:
    prices = instance({"a": entry}, cached_share).prices
    assert prices is not None
    return prices.models["a"]


def test_prices_are_exact_decimals() -> None:
    prices = instance({"deepseek": {"prompt": 2.0, "completion": 1_000_000_000}}).prices
    assert prices == Prices("CNY", {"deepseek": (PricePeriod(Price(Decimal("2.0"), Decimal(1_000_000_000))),)})


@pytest.mark.parametrize(
    ("hours", "start", "end"),
    [
        ("00:30-08:30", 30, 510),
        ("22:00-06:00", 1320, 360),
        ("22:00-24:00", 1320, 1440),
        ("22:00-00:00", 1320, 0),
        ("00:00-24:00", 0, 1440),
        ("23:59-00:00", 1439, 0),
    ],
)
def test_off_peak_hours(hours: str, start: int, end: int) -> None:
    """Hours may pass midnight, and end at 24:00."""
    off_peak = read({**PRICE, "off_peak": {"hours": hours, **PRICE}})[0].off_peak
    assert off_peak == OffPeak(start, end, Price(Decimal(2), Decimal(8), is_off_peak=True))


@pytest.mark.parametrize("share", [0, 1, 0.4, 0.000001, 0.999999, 1.0])
def test_cached_share(share: float) -> None:
    """The share of `prices` holds where a price has none of its own."""
    entries = [{**PRICE, "cached_share": 0.25}, {**PRICE, "from": "2026-10-01"}]
    own, common = read(entries, cached_share=share)
    assert (own.cached_share, common.cached_share) == (Decimal("0.25"), Decimal(repr(share)))
    assert [each.cached_share for each in read(entries)] == [Decimal("0.25"), None]


@pytest.mark.parametrize(("shares", "has_share"), [([0.4, 0], True), ([0.4, None], False), ([None], False)])
def test_has_cached_share(shares: List[Optional[float]], has_share: bool) -> None:
    """Only if each price has a share, no cost is too high for lack of it."""
    entries = [{**PRICE, **({} if share is None else {"cached_share": share})} for share in shares]
    dated = [{**entry, "from": f"2026-10-0{day}"} for day, entry in enumerate(entries, 1)]
    for models in ({str(number): entry for number, entry in enumerate(entries)}, {"a": dated}):
        assert instance(models).prices.has_cached_share is has_share  # type: ignore[union-attr]


@pytest.mark.parametrize("date", ["'2026-10-01'", "2026-10-01"])
def test_date(tmp_path: Path, date: str) -> None:
    """A date is one with and without quotes; one alone needs no list."""
    path = tmp_path / "conf.yaml"
    entry = f"{{from: {date}, prompt: 2, completion: 8}}"
    path.write_text(f"instances: [{{models: true, hourly: true, prices: {{currency: CNY, models: {{a: {entry}}}}}}}]")
    (loaded,) = load_file(str(path), NOW)
    assert loaded.prices is not None
    ((period,),) = loaded.prices.models.values()
    assert (period.since, period.price.since) == (dt.date(2026, 10, 1), "2026-10-01")


@pytest.mark.parametrize(
    ("names", "priced", "expected"),
    [
        ({"a": "chat", "b": "chat"}, ["a", "chat"], {"a": "a", "b": "chat", "c": None}),
        ({"a": "chat"}, ["chat"], {"a": "chat", "b": None}),
        ({}, ["a"], {"a": "a"}),
        ({"a": "a"}, ["a"], {"a": "a"}),
        ({"dated": "a", "a": "a"}, ["dated", "a"], {"dated": "dated", "a": "a"}),
    ],
    ids=str,
)
def test_price_by_id_and_name(names: Dict[str, str], priced: List[str], expected: Dict[str, Optional[str]]) -> None:
    """The price of a model's id goes before that of its name, which those without one have."""
    models = {name: {"prompt": number, "completion": 0} for number, name in enumerate(priced)}
    loaded = instance(models, model_names=names or None)
    for api_id, name in expected.items():
        found = loaded.prices_of(api_id)
        assert (found and priced[int(found.periods[0].price.prompt)]) == name


@given(PRICES, PRICES, st.integers(0, 10**15), st.integers(0, 10**15))
def test_cost_is_exact(prompt: Decimal, completion: Decimal, prompt_tokens: int, completion_tokens: int) -> None:
    cost = Price(prompt, completion).cost(prompt_tokens, completion_tokens)
    assert Fraction(cost) == (Fraction(prompt) * prompt_tokens + Fraction(completion) * completion_tokens) / 1_000_000


@pytest.mark.parametrize("key", ["model", "maas_api_id", "maas_key_id", "api_key", "currency"])
def test_tags_of_models_are_reserved(key: str) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` is a tag that the plugin sets"):
        load_instance({"tags": [f"{key}:x"]}, {}, "instances[0]")
