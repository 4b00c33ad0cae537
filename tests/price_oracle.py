"""The cost of an hour, computed from the configuration minute by minute and in fractions, and random configurations."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from hypothesis import strategies as st

from maas_usage_check.config import Instance, load_instance
from maas_usage_check.config.model_prices import ModelPrices
from maas_usage_check.config.zones import named_zone

HOUR = 3_600_000
MINUTE = 60_000
DAY_MINUTES = 24 * 60
CLOCK_CHANGES = {
    "Asia/Shanghai": ("2026-10-24",),
    "UTC": ("2028-02-28",),
    "Asia/Kolkata": ("2026-12-30",),
    "Europe/Berlin": ("2026-03-28", "2026-10-24"),
    "Australia/Adelaide": ("2026-04-04", "2026-10-03"),  # its clocks change in the middle of an hour of UTC
    "Australia/Lord_Howe": ("2026-04-04", "2026-10-03"),  # by half an hour
    "America/Havana": ("2026-03-07", "2026-10-31"),  # the first hour of a day does not exist, or comes twice
}
"""Zones, each with days before its clocks change."""


class Part(NamedTuple):
    """The tokens of an hour between two of its minutes that have one price; None without a price."""

    price: Optional[Tuple[str, bool]]
    total: int
    prompt: int
    completion: int
    cached: int
    costs: Tuple[Fraction, Fraction]


class PriceOracle:
    """The prices of a model as the file has them: a list of mappings, each with `from` but the first.

    `share` is the `cached_share` of `prices`.
    """

    def __init__(self, entries: Sequence[Dict[str, Any]], zone: str, share: Optional[float] = None) -> None:
        self.entries, self.zone, self.share = entries, zone, share

    @cached_property
    def instance(self) -> Instance:
        """Load a configuration with these prices of model `a`."""
        prices: Dict[str, Any] = {"currency": "CNY", "models": {"a": list(self.entries)}}
        if self.share is not None:
            prices["cached_share"] = self.share
        keys = {"models": True, "hourly": True, "timezone": self.zone, "prices": prices}
        return load_instance(keys, {}, "instances[0]")

    @cached_property
    def model_prices(self) -> ModelPrices:
        prices = self.instance.prices_of("a")
        assert prices is not None
        return prices

    def parts(self, start: int, total: int, prompt: int, completion: int) -> List[Part]:
        """Return the parts of an hour in the order of time."""
        entry = self._entry(start)
        if entry is None:
            return [Part(None, total, prompt, completion, 0, (Fraction(0), Fraction(0)))]
        parts, first, flags = [], 0, self._off_peak_minutes(entry, start)
        for minute in range(1, 61):
            if minute == 60 or flags[minute] != flags[first]:
                counts = (count * minute // 60 - count * first // 60 for count in (total, prompt, completion))
                parts.append(self._part(entry, flags[first], *counts))
                first = minute
        return parts

    def cost(self, start: int, prompt: int, completion: int) -> Tuple[Fraction, Fraction]:
        """Return the cost of an hour's prompt and of its completion."""
        costs = [part.costs for part in self.parts(start, 0, prompt, completion)]
        return sum(cost for cost, _ in costs), sum(cost for _, cost in costs)  # type: ignore[return-value]

    def _entry(self, start: int) -> Optional[Dict[str, Any]]:
        """Return the last entry whose date the local date of the hour's first moment has reached."""
        today = dt.datetime.fromtimestamp(start / 1000, named_zone(self.zone)).date().isoformat()
        return next((each for each in reversed(self.entries) if each.get("from", "") <= today), None)

    def _off_peak_minutes(self, entry: Dict[str, Any], start: int) -> List[bool]:
        if "off_peak" not in entry:
            return [False] * 60
        off_peak = _minutes(entry["off_peak"]["hours"])
        return [minute in off_peak for minute in _local_minutes(start, self.zone)]

    def _part(self, entry: Dict[str, Any], is_off_peak: bool, total: int, prompt: int, completion: int) -> Part:
        share = entry.get("cached_share", self.share)
        cached = int(Fraction(str(share or 0)) * prompt)
        price = entry["off_peak"] if is_off_peak else entry
        ordinary = Fraction(str(price["prompt"]))
        of_cached = Fraction(str(price.get("cached_prompt", price["prompt"])))
        prompt_cost = ordinary * (prompt - cached) + of_cached * cached
        costs = prompt_cost / 10**6, Fraction(str(price["completion"])) * completion / 10**6
        return Part((entry.get("from", ""), is_off_peak), total, prompt, completion, cached, costs)


@lru_cache(maxsize=None)
def _minutes(hours: str) -> frozenset:  # type: ignore[type-arg]
    """Return the minutes of the day that hours such as "22:00-06:00" contain."""
    (start, until) = (int(time[:2]) * 60 + int(time[3:]) for time in hours.split("-"))
    count = (until - start) % DAY_MINUTES or DAY_MINUTES
    return frozenset((start + minute) % DAY_MINUTES for minute in range(count))


@lru_cache(maxsize=None)
def _local_minutes(start: int, zone: str) -> List[int]:
    """Return the local minute of the day at each minute of an hour."""
    tz = named_zone(zone)
    moments = (dt.datetime.fromtimestamp((start + minute * MINUTE) / 1000, tz) for minute in range(60))
    return [moment.hour * 60 + moment.minute for moment in moments]


AMOUNTS = st.decimals(0, 10_000, places=3).map(float) | st.sampled_from([0, 8, 0.1, 1_000_000_000, 999_999_999.999])
SHARES = st.integers(0, 10**6).map(lambda share: share / 10**6) | st.sampled_from([0, 1, 0.4])
TIMES = (
    st.integers(0, DAY_MINUTES - 1) | st.sampled_from(range(0, DAY_MINUTES, 60)) | st.sampled_from(range(0, 240, 15))
)
"""Often in the night, in which clocks change."""
CUTTING_HOURS = st.tuples(TIMES, st.integers(1, 59)).map(lambda each: (each[0], (each[0] + each[1]) % DAY_MINUTES))
COUNTS = st.integers(0, 1000) | st.integers(0, 10**13) | st.just(10**13)


@st.composite
def _prices(draw: st.DrawFn) -> Dict[str, Any]:
    price = {"prompt": draw(AMOUNTS), "completion": draw(AMOUNTS)}
    if draw(st.booleans()):
        price["cached_prompt"] = draw(AMOUNTS)
    return price


def _written(times: Tuple[int, int]) -> str:
    start, end = times
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


@st.composite
def price_oracles(draw: st.DrawFn, zones: Sequence[str] = sorted(CLOCK_CHANGES)) -> Tuple[PriceOracle, int]:
    """Draw prices that change within 4 days, and the first hour of these: often the clocks change in them."""
    zone = draw(st.sampled_from(zones))
    first = dt.date.fromisoformat(draw(st.sampled_from(CLOCK_CHANGES[zone])))
    days = sorted(draw(st.sets(st.integers(0, 4), max_size=3)))
    dates = [(first + dt.timedelta(days=day)).isoformat() for day in days]
    entries = []
    for date in ["", *dates] if not dates or draw(st.booleans()) else dates:
        entry: Dict[str, Any] = {**draw(_prices()), **({"from": date} if date else {})}
        if draw(st.booleans()):
            pairs = st.tuples(TIMES, TIMES | st.just(DAY_MINUTES)).filter(lambda each: each[0] != each[1])
            entry["off_peak"] = {"hours": _written(draw(CUTTING_HOURS | pairs)), **draw(_prices())}
        if draw(st.booleans()):
            entry["cached_share"] = draw(SHARES)
        entries.append(entry)
    start = dt.datetime(first.year, first.month, first.day, tzinfo=dt.timezone.utc).timestamp() * 1000
    return PriceOracle(entries, zone, draw(st.none() | SHARES)), int(start) - 12 * HOUR


HOURS = st.dictionaries(st.integers(0, 5 * 24 - 1), st.tuples(COUNTS, COUNTS), min_size=1, max_size=40)
"""Prompt and completion tokens of hours, by their number since the first."""
