"""The points of cost: of hours at their own time, and counters or their increments. Imported where prices are."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Iterable, Iterator

from ..cloud.source import HourSeries
from ..config.model_prices import ModelPrices
from ..config.prices import Cost
from ..metrics import Number, Point
from .cost_counters import CostMeter
from .hour_store import Hour, HourStore
from .hour_values import COMPLETION_TOKENS, PROMPT_TOKENS, ZEROS, Values
from .watermarks import COUNTERS, Consumer


def hour_costs(series: HourSeries, prices: ModelPrices, hours: Iterable[Hour], tags: Dict[str, str]) -> Iterator[Point]:
    """Yield the cost of each hour that has a price."""
    for hour in hours:
        cost = prices.cost(hour.start, hour.values[PROMPT_TOKENS], hour.values[COMPLETION_TOKENS])
        if cost is not None:
            yield _point(series.measurements.cost_hourly, series, tags, cost.total, cost, hour.start)


def counted_cost(
    series: HourSeries,
    hour_store: HourStore,
    consumer: Consumer,
    counters: Values,
    grown: Values,
    tags: Dict[str, str],
) -> Point:
    """Count the growth of the token counters of a series; return the cost so far, or that of the growth.

    Args:
        series: with prices.
        hour_store: its hours.
        consumer: receives the point.
        counters: of the series.
        grown: their growth since the consumer's last cycle.
        tags: of the point.
    """
    assert series.prices is not None, "a series without prices has no cost"
    measurement, now_ms = series.measurements.cost_consumed, hour_store.transaction.now_ms
    meter = CostMeter(hour_store, series.prices, f"{consumer.name} {hour_store.id} {series.currency}", counters)
    if consumer.kind != COUNTERS:
        growth = meter.add(grown)
        return _point(measurement, series, tags, growth.total, growth, now_ms)
    meter.add(ZEROS if meter.counted.cost is None else grown)  # it appears with 0
    return _point(measurement, series, tags, meter.counted.cost or Decimal(0), meter.counted.total, now_ms)


def _point(
    measurement: str, series: HourSeries, tags: Dict[str, str], total: Decimal, parts: Cost, at_ms: int
) -> Point:
    amounts = {"cost": total, "prompt_cost": parts.prompt, "completion_cost": parts.completion}
    fields: Dict[str, Number] = {name: float(amount) for name, amount in amounts.items()}
    return Point(measurement, {**tags, "currency": series.currency}, fields, at_ms * 1_000_000)
