"""Sums of the hours of many series by the price of their tokens; see ModelPrices. The database adds them up."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from ..config.model_prices import (
    HOURS_OF_DAY,
    WHOLE_HOUR,
    ModelPrices,
    PriceWindow,
    Segment,
    price_of,
    share_ratio,
)
from ..config.prices import Cost, Price, PricePeriod
from ..config.ranges import Window
from .hour_values import COMPLETION_TOKENS, FIELDS, HOUR, PROMPT_TOKENS, Values
from .schema import Transaction, sums_of

HOUR_OF_DAY = f"start / {HOUR} % {HOURS_OF_DAY}"


class PricedSum(NamedTuple):
    """The sum of the hours of a series with one price; None is without a price. `cached` is a part of the prompt."""

    price: Optional[Price]
    hours: int
    values: Values
    cached: int

    @property
    def cost(self) -> Cost:
        """Return the cost; 0 without a price."""
        if self.price is None:
            return Cost()
        return self.price.costs(self.values[PROMPT_TOKENS], self.values[COMPLETION_TOKENS], self.cached)


def priced_sums(
    transaction: Transaction,
    series: Mapping[int, Optional[ModelPrices]],
    start: int,
    until: int,
    settled_only: bool = False,
) -> Iterator[Tuple[int, PricedSum]]:
    """Yield the sums of series in a window, by series and price.

    Of an hour with two prices, the one of its beginning counts the hour. Series whose prices change at the same times
    share a statement.

    Args:
        transaction: on the ledger.
        series: their ids, each with the prices of its model, None if it has none.
        start: the first hour, milliseconds since 1970.
        until: the end of the last one.
        settled_only: leave out hours that may still change.
    """
    window = Window(start, until)
    alike: Dict[Any, Tuple[PriceWindow, Dict[int, Optional[PricePeriod]]]] = {}
    for series_id, prices in series.items():
        for each in prices.windows(window) if prices else [PriceWindow(window, None, {})]:
            shape = (each.window, tuple(each.segments.items()), share_ratio(each.period))
            alike.setdefault(shape, (each, {}))[1][series_id] = each.period
    for priced, periods in alike.values():
        within = (priced.window.start, priced.window.end, settled_only)
        for statement in _statements(periods, priced):
            for series_id, is_off_peak, hours, cached, *values in transaction.select(statement, within):
                price = price_of(periods[series_id], bool(is_off_peak))
                yield series_id, PricedSum(price, hours, tuple(values), cached)


def _statements(series: Collection[int], priced: PriceWindow) -> Iterator[str]:
    """Yield a statement for the hours that are not split, and one for each segment of those that are."""
    split = {hour: segments for hour, segments in priced.segments.items() if len(segments) > 1}
    off_peak = [hour for hour, (first, *_) in priced.segments.items() if first.is_off_peak]
    yield _statement(series, priced, _is_one_of(off_peak), *WHOLE_HOUR, f"NOT {_is_one_of(split)}")
    for hour, segments in split.items():
        for segment in segments:
            yield _statement(series, priced, str(int(segment.is_off_peak)), segment, f"{HOUR_OF_DAY} = {hour}")


def _is_one_of(hours: Collection[int]) -> str:
    """Write the condition that an hour of the day is one of some; most prices have none."""
    return f"({HOUR_OF_DAY} IN ({', '.join(map(str, hours))}))" if hours else "0"


def _statement(series: Collection[int], priced: PriceWindow, is_off_peak: str, segment: Segment, condition: str) -> str:
    part = "{name}"
    if (segment,) != WHOLE_HOUR:  # as Segment.part
        part = f"({{name}} * {segment.end} / 60 - {{name}} * {segment.start} / 60)"
    prompt, (numerator, denominator) = part.format(name="prompt_tokens"), share_ratio(priced.period)
    # Not `prompt * numerator / denominator`: the product may exceed 64 bits.
    cached = f"{prompt} / {denominator} * {numerator} + {prompt} % {denominator} * {numerator} / {denominator}"
    cached = cached if numerator else "0"
    groups = "1" if is_off_peak.isdigit() else "1, 2"  # with a constant as the second, SQLite would sort all rows
    return (
        f"SELECT series, {is_off_peak}, SUM({int(segment.start == 0)}), SUM({cached}), {sums_of(*FIELDS, part=part)} "
        f"FROM hours WHERE series IN ({', '.join(map(str, series))}) AND start >= ? AND start < ? AND settled >= ? "
        f"AND {condition} GROUP BY {groups}"
    )
