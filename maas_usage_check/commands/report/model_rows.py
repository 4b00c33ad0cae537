"""The rows of `report --models`: what each model used and cost, and what the month will cost at that rate."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import List, Optional, Sequence, Tuple

from msgspec import Struct

from ...cloud.usage import Usage
from ...config import Instance
from ...config.prices import Price
from ...config.ranges import HOUR, RETENTION, to_ms
from ...ledger.hour_values import FIELDS, floor
from ...ledger.models.lookup_models import KnownModels, over_until
from .periods import local

WEEK = 168
"""Hours at whose rate the month is estimated."""


class ModelRow(Struct, frozen=True):
    """Hold one model; `usage` is None where it is not known, `price` where the file has none."""

    api_id: str
    name: str
    usage: Optional[Usage]
    price: Optional[Price]

    @property
    def cost(self) -> Optional[Decimal]:
        """Work out what it cost; None where that is not known."""
        if self.usage is None or self.price is None:
            return None
        return self.price.cost(self.usage.prompt_tokens, self.usage.completion_tokens)


class Hours(Struct, frozen=True):
    """Hold the whole hours of a range, `[start, until)` in milliseconds, and those of them that may be known."""

    start: int
    until: int
    told: Tuple[int, ...]

    @property
    def number(self) -> int:
        """Count them."""
        return (self.until - self.start) // HOUR


class Month(Struct, frozen=True):
    """Hold the estimate of a month's cost; `cost` is None where too few of the last hours are `known`."""

    name: str
    cost: Optional[Decimal]
    known: int


def whole_hours(asked: Instance, now: int) -> Hours:
    """Find the whole hours (UTC) of an instance's one range that are over, at one moment, in milliseconds."""
    window = asked.ranges[0].window(now, asked.zone)
    start, until = -(-window.start // HOUR) * HOUR, min(floor(window.end), over_until(now))
    first = max(start, -(-(now - RETENTION) // HOUR) * HOUR)
    return Hours(start, max(start, until), tuple(range(first, until, HOUR)))


def last_week(now: int) -> Sequence[int]:
    """List the hours of the last 7 days that are over."""
    until = over_until(now)
    return range(until - WEEK * HOUR, until, HOUR)


def rows_of(instance: Instance, known: KnownModels, hours: Sequence[int]) -> Tuple[List[ModelRow], List[int]]:
    """Make a row for each model, the one with the most tokens first, and tell which hours they are of."""
    sums = known.sum_up(hours)
    rows: List[ModelRow] = []
    for api_id, values in sums.by_model.items():
        name = instance.model_names.get(api_id, api_id)
        usage = None if values is None else Usage(**dict(zip(FIELDS, values)))
        rows.append(ModelRow(api_id, name, usage, instance.prices.of(api_id, name) if instance.prices else None))
    return sorted(rows, key=lambda row: (-(row.usage.total_tokens if row.usage else -1), row.name)), sums.hours


def cost_of(rows: Sequence[ModelRow]) -> Optional[Decimal]:
    """Add up the costs of the models that have a price; None where none has, or what one of them used is not known."""
    costs = [row.cost for row in rows if row.price is not None]
    return None if None in costs or not costs else sum(filter(None, costs), Decimal(0))


def estimate(instance: Instance, known: KnownModels, now: int, tz: dt.tzinfo) -> Month:
    """Estimate what the local month of a moment, in milliseconds, costs at the rate of the last 7 days."""
    first = local(now, tz).date().replace(day=1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    length = Decimal(to_ms(following, tz) - to_ms(first, tz)) / HOUR
    rows, hours = rows_of(instance, known, last_week(now))
    cost = cost_of(rows) if len(hours) == WEEK else None
    return Month(f"{first:%B}", None if cost is None else cost * length / WEEK, len(hours))
