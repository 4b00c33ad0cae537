"""Prices that are valid but probably a mistake, each with its path."""

from __future__ import annotations

from typing import Any, List

import pytest

from maas_usage_check.config import load
from maas_usage_check.config.load_warnings import load_warnings

from ..conftest import NOW

PRICE = {"prompt": 2, "completion": 8}
PATH = "instances[0].prices"
LOW = "is below 0.001; prices are per million tokens, not per token"
NO_SHARE = "is not used without `cached_share`, the share of prompt tokens that are cached"
NO_CACHED_PRICE = f"{PATH}: `cached_share` changes nothing, because no price has `cached_prompt`"


def warnings(entry: Any, **more: Any) -> List[str]:
    prices = {"currency": "CNY", "models": {"a": entry}, **more}
    entries = [{"models": True, "hourly": True, "prices": prices}]
    return list(load_warnings(load({"instances": entries}, NOW), NOW))


@pytest.mark.parametrize(
    ("price", "warned"), [(0, 0), (0.000002, 1), (0.00099999, 1), (0.001, 0), (0.0010001, 0), (2, 0)]
)
@pytest.mark.parametrize("part", ["prompt", "completion", "cached_prompt"])
def test_price_of_one_token(part: str, price: float, warned: int) -> None:
    """A price below 0.001 is probably that of one token; 0 is none. Its path has the place in a list."""
    entry = {**PRICE, "cached_prompt": 1, part: price}
    dated = {**PRICE, "cached_prompt": 1, "from": "2026-10-01"}
    off_peak = {"off_peak": {"hours": "00:30-08:30", **entry}}
    for given, path in (
        (entry, "a"),
        ({**PRICE, **off_peak}, "a.off_peak"),
        ([entry, dated], "a[0]"),
        ([PRICE, {**dated, part: price}], "a[1]"),
        ([PRICE, {**dated, **off_peak}], "a[1].off_peak"),
    ):
        assert warnings(given, cached_share=0.5) == [f"{PATH}.models.{path}.{part}: {LOW}"] * warned


def test_cached_price_without_a_share() -> None:
    """A price of cached tokens needs their share; a share of 0 is one."""
    cached = {**PRICE, "cached_prompt": 1}
    assert warnings(cached) == [f"{PATH}.models.a.cached_prompt: {NO_SHARE}"]
    assert warnings({**PRICE, "off_peak": {"hours": "00:30-08:30", **cached}}) == [
        f"{PATH}.models.a.off_peak.cached_prompt: {NO_SHARE}"
    ]
    assert warnings([{**cached, "cached_share": 0.1}, {**cached, "from": "2026-10-01"}]) == [
        f"{PATH}.models.a[1].cached_prompt: {NO_SHARE}"
    ]
    assert warnings(cached, cached_share=0) == warnings({**cached, "cached_share": 1}) == []


def test_share_without_a_cached_price() -> None:
    """A share changes nothing where no price has `cached_prompt`; a share of 0 never does."""
    assert warnings(PRICE, cached_share=0.000001) == warnings({**PRICE, "cached_share": 1}) == [NO_CACHED_PRICE]
    assert warnings(PRICE, cached_share=0) == []
    off_peak = {"hours": "00:30-08:30", **PRICE, "cached_prompt": 1}
    assert warnings({**PRICE, "off_peak": off_peak}, cached_share=0.4) == []
