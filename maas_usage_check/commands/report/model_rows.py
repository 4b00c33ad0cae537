"""The rows of `report --models`: tokens and cost of each model, and the estimated cost of the month."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import List, Optional, Sequence, Tuple

from msgspec import Struct

from ...cloud.usage import Usage
from ...config import Instance
from ...config.prices import Price
from ...config.ranges import HOUR, RETENTION, to_ms
from ...ledger.hour_values import FIELDS, floor_hour
from ...ledger.models.lookup_models import KnownModels, complete_hours_until
from .periods import local_time

WEEK_HOURS = 168
"""The month's cost is estimated at the rate of so many last hours."""


class ModelRow(Struct, frozen=True):
    """Hold one model; `usage` is None if unknown, `price` None if not configured."""

    api_id: str
    name: str
    usage: Optional[Usage]
    price: Optional[Price]

    @property
    def cost(self) -> Optional[Decimal]:
        """Price the usage; None if the usage or the price is unknown."""
        if self.usage is None or self.price is None:
            return None
        return self.price.cost(self.usage.prompt_tokens, self.usage.completion_tokens)


class HourRange(Struct, frozen=True):
    """Hold the complete UTC hours of a range, `[start_ms, end_ms)`, and the `available` ones: those the cloud keeps."""

    start_ms: int
    end_ms: int
    available: Tuple[int, ...]

    @property
    def count(self) -> int:
        """Count the hours, available or not."""
        return (self.end_ms - self.start_ms) // HOUR


class MonthEstimate(Struct, frozen=True):
    """Hold the estimated cost of a month; `cost` is None if too few of the last hours are known."""

    name: str
    cost: Optional[Decimal]
    known_hours: int


def complete_hours(instance: Instance, now_ms: int) -> HourRange:
    """Find the complete UTC hours of an instance's one range that are over."""
    window = instance.ranges[0].window(now_ms, instance.zone)
    start, end = -(-window.start // HOUR) * HOUR, min(floor_hour(window.end), complete_hours_until(now_ms))
    first = max(start, -(-(now_ms - RETENTION) // HOUR) * HOUR)
    return HourRange(start, max(start, end), tuple(range(first, end, HOUR)))


def last_week_hours(now_ms: int) -> Sequence[int]:
    """List the beginnings of the last 168 hours that are over, in milliseconds."""
    end = complete_hours_until(now_ms)
    return range(end - WEEK_HOURS * HOUR, end, HOUR)


def make_model_rows(instance: Instance, known: KnownModels, hours: Sequence[int]) -> Tuple[List[ModelRow], List[int]]:
    """Make a row for each model, most tokens first; return the rows and the hours that they add up."""
    sums = known.totals(hours)
    rows: List[ModelRow] = []
    for api_id, values in sums.by_model.items():
        name = instance.model_names.get(api_id, api_id)
        usage = None if values is None else Usage(**dict(zip(FIELDS, values)))
        rows.append(ModelRow(api_id, name, usage, instance.prices.of(api_id, name) if instance.prices else None))
    return sorted(rows, key=lambda row: (-(row.usage.total_tokens if row.usage else -1), row.name)), sums.hours


def total_cost(rows: Sequence[ModelRow]) -> Optional[Decimal]:
    """Add up the costs of the models with a price; None if there is none, or if the usage of one is unknown."""
    costs = [row.cost for row in rows if row.price is not None]
    return None if None in costs or not costs else sum(filter(None, costs), Decimal(0))


def estimate_month(instance: Instance, known: KnownModels, now_ms: int, tz: dt.tzinfo) -> MonthEstimate:
    """Estimate the cost of the current local month at the rate of the last 7 days."""
    first = local_time(now_ms, tz).date().replace(day=1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    length = Decimal(to_ms(following, tz) - to_ms(first, tz)) / HOUR
    rows, hours = make_model_rows(instance, known, last_week_hours(now_ms))
    cost = total_cost(rows) if len(hours) == WEEK_HOURS else None
    return MonthEstimate(f"{first:%B}", None if cost is None else cost * length / WEEK_HOURS, len(hours))
