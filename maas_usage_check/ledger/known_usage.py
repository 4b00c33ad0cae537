"""The known usage of series: by hour, and by day where the hours are no longer kept."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..cloud.usage import Usage
from ..config.model_prices import ModelPrices, PricedTokens
from ..config.ranges import Window
from .day_store import Day
from .hour_values import COMPLETION_TOKENS, HOUR, PROMPT_TOKENS, TOTAL_TOKENS

NO_USE = Usage(0, 0, 0, 0, 0)


class Span(NamedTuple):
    """An hour, or a day of which so many `hours` are known: `[start, until)` in milliseconds since 1970."""

    start: int
    until: int
    hours: int = 1


Spans = Dict[Span, Usage]
"""The known usage of a series. Spans of one series never overlap."""
PricedSpans = Dict[Span, Sequence[PricedTokens]]
"""The tokens of a series by their price; none where it has no use."""


class KnownUsage(NamedTuple):
    """The known usage of each series, in spans that are the same for all.

    Attributes:
        spans: of each series.
        priced: the tokens of each series by their price; of days, by the prices of their time.
        failed: why no usage is believed.
        listed_since_ms: all models called after this are here.
    """

    spans: Dict[Any, Spans]
    priced: Dict[Any, PricedSpans]
    failed: str = ""
    listed_since_ms: int = 0

    def tokens(self, window: Window) -> Dict[Span, int]:
        """Add up the tokens of all series, by span within a window; only those that are known of every series."""
        series = list(self.spans.values())
        common = set(series[0]).intersection(*series[1:]) if series else set()
        return {
            span: sum(known[span].total_tokens for known in series)
            for span in common
            if window.start <= span.start and span.until <= window.end
        }

    @property
    def has_days(self) -> bool:
        """Return True if hours of any series are kept as days."""
        return bool(day_bounds(self.spans))

    def fold_hours(self) -> None:
        """Add up the hours of a series that lie in a day of another one: then the spans of all compare."""
        bounds = day_bounds(self.spans)
        for key, spans in self.spans.items():
            fold_hours(spans, self.priced[key], bounds)

    def add_unused(self, key: Any, known: Mapping[Tuple[int, int], int], unused: Sequence[Tuple[int, int]]) -> None:
        """Add the hours and days of a series in which it had no use, as far as they are known of another series.

        Args:
            key: of the series.
            known: see known_hours.
            unused: the windows without use, of which the first is that before its first use.
        """
        spans, priced = self.spans[key], self.priced[key]
        own = {span[:2]: span for span in spans}
        for (start, until), hours in known.items():
            before = own.get((start, until))
            free = unused[:1] if before else unused  # after its last use, it is queried for days
            added = sum(max(0, min(end, until) - max(first, start)) // HOUR for first, end in free)
            if not before and added:
                spans[Span(start, until, min(hours, added))] = NO_USE
            elif before and before.hours < hours and added:
                after = before._replace(hours=min(hours, before.hours + added))
                spans[after] = spans.pop(before)
                if before in priced:
                    priced[after] = priced.pop(before)


def no_usage(keys: Iterable[Any]) -> KnownUsage:
    """Return no known usage of some series."""
    return KnownUsage({key: {} for key in keys}, {key: {} for key in keys})


def hour_span(at: int) -> Span:
    """Return the span of the hour that begins at a time."""
    return Span(at, at + HOUR)


def price_hour(prices: Optional[ModelPrices], span: Span, usage: Usage) -> List[PricedTokens]:
    """List the tokens of an hour by their price."""
    tokens = (usage.total_tokens, usage.prompt_tokens, usage.completion_tokens)
    if not any(tokens):
        return []
    return list(prices.split(span.start, *tokens)) if prices else [PricedTokens(None, *tokens)]


def read_days(days: Iterable[Day], currency: str) -> Iterator[Tuple[Span, Usage, Sequence[PricedTokens]]]:
    """Yield the days of a series, with their tokens by price. A price is in `currency`."""
    by_bounds: Dict[Tuple[int, int], List[Day]] = {}
    for day in days:
        by_bounds.setdefault((day.start, day.until), []).append(day)
    for bounds, parts in by_bounds.items():  # a part for each price
        usage = sum((Usage(*part.values) for part in parts), NO_USE)
        priced = [
            PricedTokens(
                part.price if part.currency == currency else None,
                part.values[TOTAL_TOKENS],
                part.values[PROMPT_TOKENS],
                part.values[COMPLETION_TOKENS],
                part.cached,
            )
            for part in parts
            if any(part.values)
        ]
        yield Span(*bounds, sum(part.hours for part in parts)), usage, priced


def day_bounds(spans: Dict[Any, Spans]) -> List[Tuple[int, int]]:
    """List the bounds of the days of all series, in order."""
    return sorted({span[:2] for known in spans.values() for span in known if span.until - span.start > HOUR})


def fold_hours(known: Spans, priced: PricedSpans, bounds: Sequence[Tuple[int, int]]) -> None:
    """Add up the hours of a series that lie in a day of another one: then the spans of both compare."""
    if not bounds or not any(span.until - span.start == HOUR and span.start < bounds[-1][1] for span in known):
        return
    starts = [start for start, _ in bounds]
    folded: Dict[Tuple[int, int], List[Span]] = {}
    for span in known:
        day = bounds[bisect_right(starts, span.start) - 1]
        if span.until - span.start == HOUR and day[0] <= span.start < day[1]:
            folded.setdefault(day, []).append(span)
    for day, hours in folded.items():
        whole = Span(*day, len(hours))
        known[whole] = sum((known.pop(hour) for hour in hours), NO_USE)
        priced[whole] = [tokens for hour in hours for tokens in priced.pop(hour, ())]


def join_spans(spans: Iterable[Span]) -> List[Span]:
    """Join spans that adjoin."""
    runs: List[Span] = []
    for start, until, hours in sorted(spans):
        if runs and runs[-1].until == start:
            before = runs.pop()
            runs.append(Span(before.start, until, before.hours + hours))
        else:
            runs.append(Span(start, until, hours))
    return runs


def known_hours(series: Iterable[Spans], until: int) -> Dict[Tuple[int, int], int]:
    """Return the hours and days before a time by their bounds, each with the most hours that any series knows."""
    known: Dict[Tuple[int, int], int] = {}
    for spans in series:
        for span in spans:
            if span.start < until:
                known[span[:2]] = max(span.hours, known.get(span[:2], 0))
    return known
