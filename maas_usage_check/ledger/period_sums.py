"""Sums of the hours of many series, as budgets add them up: all known hours, also those that may still change."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence

from ..cloud.usage import Usage
from ..config.model_prices import ModelPrices
from ..config.prices import Cost
from ..config.ranges import Window
from .budgets import Member
from .hour_values import HOUR, ZEROS, add
from .priced_hours import priced_sums


class PeriodSum(NamedTuple):
    """The use and the cost of some series in full hours.

    Attributes:
        usage: None if no hour is known.
        cost: of the series with a price.
        hours: known of every series.
    """

    usage: Optional[Usage]
    cost: Cost
    hours: int


def period_sum(members: Sequence[Member], window: Window) -> PeriodSum:
    """Add up the hours of series in a window of the last 62 days. Their use does not overlap."""
    by_prices: Dict[Optional[ModelPrices], List[Member]] = {}
    for member in members:
        by_prices.setdefault(member.series.prices, []).append(member)
    values, cost = ZEROS, Cost()
    stored: Dict[int, int] = {}
    for prices, same in by_prices.items():
        transaction, ids = same[0].hour_store.transaction, [each.hour_store.id for each in same]
        for series, each in priced_sums(transaction, ids, prices, window.start, window.end):
            values, cost = add(values, each.values), cost + each.cost
            stored[series] = stored.get(series, 0) + each.hours
    asked = (window.end - window.start) // HOUR
    incomplete = [each for each in members if stored.get(each.hour_store.id, 0) < asked]
    hours = min((each.known_hours(window.start, window.end) for each in incomplete), default=asked if members else 0)
    return PeriodSum(Usage(*values) if stored else None, cost, hours)
