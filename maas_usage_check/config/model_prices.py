"""The prices of one model in time: which of them an hour has, and how an hour is split where they change within it."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from .prices import Cost, Price, PricePeriod
from .ranges import DAY, HOUR, Window, Zone, ceil_hour, to_ms

MINUTE = 60_000
HOURS_OF_DAY = DAY // HOUR


class Segment(NamedTuple):
    """The minutes `[start, end)` of an hour, and whether they are off-peak."""

    start: int
    end: int
    is_off_peak: bool = False

    def part(self, count: int) -> int:
        """Return this part of the tokens of the hour; the parts of an hour add up to it."""
        return count * self.end // 60 - count * self.start // 60


WHOLE_HOUR = (Segment(0, 60),)


class PriceWindow(NamedTuple):
    """Full hours with the same prices: the segments of each hour of the day in UTC, none without off-peak hours.

    `period` is None where the model has no price yet.
    """

    window: Window
    period: Optional[PricePeriod]
    segments: Dict[int, Tuple[Segment, ...]]


class PricedTokens(NamedTuple):
    """Tokens with one price; None is without a price. The cached ones are a part of those of the prompt."""

    price: Optional[Price]
    total: int
    prompt: int
    completion: int
    cached: int = 0

    def plus(self, other: PricedTokens) -> PricedTokens:
        """Add up tokens with the same price."""
        sums = (self.total + other.total, self.prompt + other.prompt, self.completion + other.completion)
        return PricedTokens(self.price, *sums, self.cached + other.cached)

    @property
    def cost(self) -> Optional[Cost]:
        """Return their cost; None if they have no price."""
        return self.price.costs(self.prompt, self.completion, self.cached) if self.price else None


NO_TOKENS = PricedTokens(None, 0, 0, 0)


def sum_by_price(tokens: Iterable[PricedTokens]) -> Dict[Optional[Price], PricedTokens]:
    """Add up tokens by their price."""
    of_object: Dict[int, List[PricedTokens]] = {}  # hashing a price takes longer than adding
    for each in tokens:
        of_object.setdefault(id(each.price), []).append(each)
    sums: Dict[Optional[Price], PricedTokens] = {}
    for same in of_object.values():
        price = same[0].price
        total = PricedTokens(price, *(sum(column) for column in list(zip(*same))[1:]))
        sums[price] = sums[price].plus(total) if price in sums else total
    return sums


class ModelPrices(NamedTuple):
    """The prices of a model in the order of their dates, which are of a zone."""

    periods: Tuple[PricePeriod, ...]
    zone: Zone

    def split(self, start_ms: int, total: int, prompt: int, completion: int) -> Iterator[PricedTokens]:
        """Split the tokens of an hour by their price. `start_ms` is its start, in milliseconds since 1970."""
        period = self._period(start_ms)
        numerator, denominator = share_ratio(period)
        segments = self._segments(period, start_ms)
        if segments is WHOLE_HOUR:  # most hours, and a month of many models has 20,000
            cached = prompt * numerator // denominator
            yield PricedTokens(price_of(period, False), total, prompt, completion, cached)
            return
        for segment in segments:
            part = segment.part(prompt)
            yield PricedTokens(
                price_of(period, segment.is_off_peak),
                segment.part(total),
                part,
                segment.part(completion),
                part * numerator // denominator,
            )

    def cost(self, start_ms: int, prompt: int, completion: int) -> Optional[Cost]:
        """Return the cost of an hour; None if it has no price yet."""
        costs = [each.cost for each in self.split(start_ms, 0, prompt, completion)]
        return None if None in costs else sum(filter(None, costs), Cost())

    def windows(self, window: Window) -> Iterator[PriceWindow]:
        """Split a window of full hours where the prices or the zone's offset change."""
        starts = [*map(self._start, self.periods), window.end]
        if starts[0] > window.start:
            yield PriceWindow(Window(window.start, min(starts[0], window.end)), None, {})
        for period, start, end in zip(self.periods, starts, starts[1:]):
            own = Window(max(start, window.start), min(end, window.end))
            if own.start >= own.end:
                continue
            if period.off_peak is None:
                yield PriceWindow(own, period, {})
                continue
            for part in _even_windows(own, self.zone()):
                hours = range(part.start, min(part.end, part.start + DAY), HOUR)
                segments = {at // HOUR % HOURS_OF_DAY: self._segments(period, at) for at in hours}
                yield PriceWindow(part, period, segments)

    @property
    def has_cached_share(self) -> bool:
        """Return True if all prices say how much of the prompt is cached."""
        return all(each.cached_share is not None for each in self.periods)

    @property
    def digest(self) -> str:
        """Return a digest of all that decides the cost of an hour."""
        is_local = any(each.since or each.off_peak for each in self.periods)
        return blake2b(repr((self.periods, str(self.zone()) if is_local else "")).encode(), digest_size=16).hexdigest()

    def _period(self, at_ms: int) -> Optional[PricePeriod]:
        """Return the prices of a moment: an hour has those of its beginning."""
        for period in reversed(self.periods):
            if period.since is None or self._start(period) <= at_ms:
                return period
        return None

    def _start(self, period: PricePeriod) -> int:
        return 0 if period.since is None else _first_hour(period.since, self.zone())

    def _segments(self, period: Optional[PricePeriod], start_ms: int) -> Tuple[Segment, ...]:
        if period is None or period.off_peak is None:
            return WHOLE_HOUR
        return _split_hour(period.off_peak.start, period.off_peak.end, start_ms, self.zone())


def price_of(period: Optional[PricePeriod], is_off_peak: bool) -> Optional[Price]:
    """Return the price of a part of a period."""
    if period is None:
        return None
    return period.off_peak.price if is_off_peak and period.off_peak else period.price


def share_ratio(period: Optional[PricePeriod]) -> Tuple[int, int]:
    """Return the share of cached tokens as a fraction."""
    share = period.cached_share if period else None
    return share.as_integer_ratio() if share else (0, 1)


def _is_between(start: int, end: int, minute: int) -> bool:
    """Return whether a minute of the day lies in `[start, end)`; an end before the start is tomorrow's."""
    return start <= minute < end if start < end else not end <= minute < start


@lru_cache(maxsize=256)
def _first_hour(since: dt.date, tz: dt.tzinfo) -> int:
    """Return the first hour that begins on a date or later."""
    return ceil_hour(to_ms(since, tz))


@lru_cache(maxsize=4096)
def _split_hour(off_peak_start: int, off_peak_end: int, start_ms: int, tz: dt.tzinfo) -> Tuple[Segment, ...]:
    first, last = (_minute_of_day(start_ms + minute * MINUTE, tz) for minute in (0, 59))
    if (first + 59) % (24 * 60) == last:
        minutes = [(first + minute) % (24 * 60) for minute in range(60)]
    else:  # the clocks change within this hour
        minutes = [_minute_of_day(start_ms + minute * MINUTE, tz) for minute in range(60)]
    segments, start = [], 0
    for is_off_peak, run in groupby(_is_between(off_peak_start, off_peak_end, minute) for minute in minutes):
        end = start + len(list(run))
        segments.append(Segment(start, end, is_off_peak))
        start = end
    return tuple(segments)


def _minute_of_day(at_ms: int, tz: dt.tzinfo) -> int:
    local = dt.datetime.fromtimestamp(at_ms / 1000, tz)
    return local.hour * 60 + local.minute


@lru_cache(maxsize=64)
def _even_windows(window: Window, tz: dt.tzinfo) -> Tuple[Window, ...]:
    """Split a window where the zone's offset changes. An hour in which it changes is apart."""

    def offsets(at_ms: int) -> Tuple[Optional[dt.timedelta], ...]:
        ends = (at_ms, at_ms + HOUR - MINUTE)
        return tuple(dt.datetime.fromtimestamp(each / 1000, tz).utcoffset() for each in ends)

    windows = []
    for _, run in groupby(range(window.start, window.end, HOUR), offsets):
        hours = list(run)
        windows.append(Window(hours[0], hours[-1] + HOUR))
    return tuple(windows)
