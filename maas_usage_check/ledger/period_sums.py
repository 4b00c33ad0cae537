"""Sums of the hours of many series, as budgets add them up: all known hours, also those that may still change."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Sequence

from ..cloud.usage import Usage
from ..config.prices import Cost
from ..config.ranges import Window
from .budgets import Member, known_hours
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
    if not members:
        return PeriodSum(None, Cost(), 0)
    values, cost = ZEROS, Cost()
    stored: Dict[int, int] = {}
    transaction = members[0].hour_store.transaction
    prices = {each.hour_store.id: each.series.prices for each in members}
    for series, each in priced_sums(transaction, prices, window.start, window.end):
        values, cost = add(values, each.values), cost + each.cost
        stored[series] = stored.get(series, 0) + each.hours
    asked = (window.end - window.start) // HOUR
    incomplete = [each for each in members if stored.get(each.hour_store.id, 0) < asked]
    hours = min(known_hours(incomplete, window.start, window.end), default=asked)
    return PeriodSum(Usage(*values) if stored else None, cost, hours)
