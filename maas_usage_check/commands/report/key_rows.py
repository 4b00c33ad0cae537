"""The tokens of one model by period, price, kind of token and API key. The rows of a model add up to it."""

from __future__ import annotations

from bisect import bisect_right
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ...cloud.cloud_eye import Dimensions
from ...config.model_prices import PricedTokens, sum_by_price
from ...config.prices import Price
from ...ledger.known_usage import PricedSpans, Span
from .periods import Part

PROMPT, CACHED_PROMPT, COMPLETION = "prompt", "cached_prompt", "completion"
ROUNDED = 4
"""Tokens by which a key may exceed its model in an hour, only because the parts of both are whole tokens."""

Bounds = Tuple[int, int]
ByPrice = Dict[Optional[Price], PricedTokens]


class KeyRow(NamedTuple):
    """The tokens of a key in a period, of one kind and price; without a key, those of the model that no key covers.

    `start` and `end` are milliseconds since 1970.
    """

    start: int
    end: int
    key: Optional[Dimensions]
    price: Optional[Price]
    kind: str
    tokens: int


def key_rows(
    model: PricedSpans, keys: Iterable[Tuple[Dimensions, PricedSpans]], parts: Sequence[Part]
) -> Iterator[KeyRow]:
    """Yield the rows of one model.

    Args:
        model: its known spans.
        keys: those of its keys, within the same hours.
        parts: the periods, in order; a day that is kept as a whole in no such period is one of its own.
    """
    starts = [part.start for part in parts]
    whole, hours = _by_period(model, parts, starts), _count_hours(model, parts, starts)
    by_key = {key: _by_period(spans, parts, starts) for key, spans in keys}
    for bounds in sorted(whole):
        own = {key: periods[bounds] for key, periods in by_key.items() if bounds in periods}
        prices = sorted(whole[bounds], key=lambda price: (price.since, price.is_off_peak) if price else ("", False))
        is_rounded = len(prices) > 1 or any(tokens.cached for tokens in whole[bounds].values())
        slack = ROUNDED * (len(own) + 1) * hours[bounds] if is_rounded else 0
        for price in prices:
            of_keys = {key: _by_kind(tokens[price]) for key, tokens in own.items() if price in tokens}
            for kind, total in _by_kind(whole[bounds][price]).items():
                used = {key: kinds[kind] for key, kinds in of_keys.items() if kinds[kind]}
                for each, tokens in _divide(total, used, slack):
                    yield KeyRow(*bounds, each, price, kind, tokens)


def _divide(total: int, by_key: Dict[Dimensions, int], slack: int) -> List[Tuple[Optional[Dimensions], int]]:
    """Divide tokens among keys and the rest. If the keys exceed them, by more than rounding does, no key has a row."""
    excess = sum(by_key.values()) - total
    if excess > slack:
        return [(None, total)] if total else []
    for key in sorted(by_key, key=lambda each: -by_key[each]) if excess > 0 else ():
        cut = min(excess, by_key[key])
        by_key[key], excess = by_key[key] - cut, excess - cut
    return [*((key, tokens) for key, tokens in by_key.items() if tokens), *([(None, -excess)] if excess < 0 else [])]


def _by_kind(tokens: PricedTokens) -> Dict[str, int]:
    if tokens.price is None or tokens.price.cached_prompt is None:
        return {PROMPT: tokens.prompt, COMPLETION: tokens.completion}
    return {PROMPT: tokens.prompt - tokens.cached, CACHED_PROMPT: tokens.cached, COMPLETION: tokens.completion}


def _by_period(spans: PricedSpans, parts: Sequence[Part], starts: Sequence[int]) -> Dict[Bounds, ByPrice]:
    periods: Dict[Bounds, List[PricedTokens]] = {}
    for span, tokens in spans.items():
        if tokens:
            periods.setdefault(_bounds(span, parts, starts), []).extend(tokens)
    return {bounds: sum_by_price(tokens) for bounds, tokens in periods.items()}


def _count_hours(spans: PricedSpans, parts: Sequence[Part], starts: Sequence[int]) -> Dict[Bounds, int]:
    hours: Dict[Bounds, int] = {}
    for span in spans:
        bounds = _bounds(span, parts, starts)
        hours[bounds] = hours.get(bounds, 0) + span.hours
    return hours


def _bounds(span: Span, parts: Sequence[Part], starts: Sequence[int]) -> Bounds:
    part = parts[max(0, bisect_right(starts, span.start) - 1)]
    return (part.start, part.end) if part.start <= span.start and span.until <= part.end else span[:2]
