"""Warnings for prices that are valid but probably a mistake."""

from __future__ import annotations

from decimal import Decimal
from typing import Iterator, Tuple

from .prices import Price, PricePeriod, Prices

LOW_PRICE = Decimal("0.001")
"""Of a million tokens, in any currency; a lower price is probably that of one token."""


def price_warnings(prices: Prices, path: str) -> Iterator[str]:
    """Yield one line for each probable mistake; `path` is that of `prices`."""
    every = list(_prices(prices, f"{path}.models"))
    for at, price, period in every:
        for part in ("prompt", "completion", "cached_prompt"):
            amount = getattr(price, part)
            if amount is not None and 0 < amount < LOW_PRICE:
                yield f"{at}.{part}: is below {LOW_PRICE}; prices are per million tokens, not per token"
        if price.cached_prompt is not None and period.cached_share is None:
            yield f"{at}.cached_prompt: is not used without `cached_share`, the share of prompt tokens that are cached"
    has_cached_price = any(price.cached_prompt is not None for _, price, _ in every)
    if not has_cached_price and any(period.cached_share for _, _, period in every):
        yield f"{path}: `cached_share` changes nothing, because no price has `cached_prompt`"


def _prices(prices: Prices, path: str) -> Iterator[Tuple[str, Price, PricePeriod]]:
    """Yield each price with its path."""
    for name, periods in prices.models.items():
        for i, period in enumerate(periods):
            at = f"{path}.{name}" + (f"[{i}]" if len(periods) > 1 else "")
            yield at, period.price, period
            if period.off_peak:
                yield f"{at}.off_peak", period.off_peak.price, period
