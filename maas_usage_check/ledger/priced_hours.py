"""Sums of the hours of many series by the price of their tokens; see ModelPrices. The database adds them up."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Optional, Sequence, Tuple

from ..config.model_prices import (
    HOURS_OF_DAY,
    WHOLE_HOUR,
    ModelPrices,
    PriceWindow,
    Segment,
    price_of,
    share_ratio,
)
from ..config.prices import Cost, Price
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
    series: Sequence[int],
    prices: Optional[ModelPrices],
    start: int,
    until: int,
    settled_only: bool = False,
) -> Iterator[Tuple[int, PricedSum]]:
    """Yield the sums of series with the same prices in a window, by series and price.

    Of an hour with two prices, the one of its beginning counts the hour.

    Args:
        transaction: on the ledger.
        series: their ids.
        prices: of their model, None if it has none.
        start: the first hour, milliseconds since 1970.
        until: the end of the last one.
        settled_only: leave out hours that may still change.
    """
    window = Window(start, until)
    parts = prices.windows(window) if prices else [PriceWindow(window, None, {})]
    for each in parts:
        within = (each.window.start, each.window.end, settled_only)
        for statement in _statements(series, each):
            for series_id, is_off_peak, hours, cached, *values in transaction.select(statement, within):
                yield series_id, PricedSum(price_of(each.period, bool(is_off_peak)), hours, tuple(values), cached)


def _statements(series: Sequence[int], priced: PriceWindow) -> Iterator[str]:
    """Yield a statement for the hours that are not split, and one for each segment of those that are."""
    split = {hour: segments for hour, segments in priced.segments.items() if len(segments) > 1}
    off_peak = [hour for hour, (first, *_) in priced.segments.items() if first.is_off_peak]
    whole = f"{HOUR_OF_DAY} NOT IN ({', '.join(map(str, split))})"
    yield _statement(series, priced, f"{HOUR_OF_DAY} IN ({', '.join(map(str, off_peak))})", *WHOLE_HOUR, whole)
    for hour, segments in split.items():
        for segment in segments:
            yield _statement(series, priced, str(int(segment.is_off_peak)), segment, f"{HOUR_OF_DAY} = {hour}")


def _statement(series: Sequence[int], priced: PriceWindow, is_off_peak: str, segment: Segment, condition: str) -> str:
    part = "{name}"
    if (segment,) != WHOLE_HOUR:  # as Segment.part
        part = f"({{name}} * {segment.end} / 60 - {{name}} * {segment.start} / 60)"
    prompt, (numerator, denominator) = part.format(name="prompt_tokens"), share_ratio(priced.period)
    # Not `prompt * numerator / denominator`: the product may exceed 64 bits.
    cached = f"{prompt} / {denominator} * {numerator} + {prompt} % {denominator} * {numerator} / {denominator}"
    return (
        f"SELECT series, {is_off_peak}, SUM({int(segment.start == 0)}), SUM({cached}), {sums_of(*FIELDS, part=part)} "
        f"FROM hours WHERE series IN ({', '.join(map(str, series))}) AND start >= ? AND start < ? AND settled >= ? "
        f"AND {condition} GROUP BY 1, 2"
    )
