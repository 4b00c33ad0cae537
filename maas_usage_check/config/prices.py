"""Prices of models as the file has them, and the cost of tokens in exact decimals."""

# Without `from __future__ import annotations`: see instance.py.

import contextlib
import datetime as dt
import re
from decimal import Context, Decimal
from functools import reduce
from typing import Any, Dict, Iterable, Optional, Tuple

from msgspec import Struct

from ..errors import ConfigError
from .known_keys import ID_OR_NAME, check_mapping, read_entries
from .ranges import parse_moment

MAX_PRICE = 1_000_000_000
"""Per million tokens, in any currency."""
MAX_SHARE_DECIMALS = 6
"""Of `cached_share`: a share of any number of tokens is exact in the integers of SQLite."""
DAY_MINUTES = 24 * 60
EXACT = Context(prec=100)
"""No cost is rounded: a price has at most 26 decimals, and 13 months of tokens at most 22 digits."""
PRICE_KEYS = ("prompt", "completion", "cached_prompt", "cached_share", "from", "off_peak")
OFF_PEAK_KEYS = ("hours", "prompt", "completion", "cached_prompt")


class Cost(Struct, frozen=True):
    """The cost of tokens: of those sent to the model (prompt), and of those that it returned (completion)."""

    prompt: Decimal = Decimal(0)
    completion: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Return the cost of all tokens."""
        return EXACT.add(self.prompt, self.completion)

    def minus(self, other: "Cost") -> "Cost":
        """Subtract each part."""
        return Cost(EXACT.subtract(self.prompt, other.prompt), EXACT.subtract(self.completion, other.completion))

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(EXACT.add(self.prompt, other.prompt), EXACT.add(self.completion, other.completion))


class Price(Struct, frozen=True):
    """The price of a million tokens: those sent to the model (prompt), and those that it returned (completion).

    Attributes:
        cached_prompt: of prompt tokens that the model had in its cache; without one, it is the price of all.
        since: the date from which it is valid, such as 2026-10-01; empty without one.
        is_off_peak: whether it is that of off-peak hours.
    """

    prompt: Decimal
    completion: Decimal
    cached_prompt: Optional[Decimal] = None
    since: str = ""
    is_off_peak: bool = False

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """Return the cost of a number of tokens; the cached ones are a part of those of the prompt."""
        return self.costs(prompt_tokens, completion_tokens, cached_tokens).total

    def costs(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Cost:
        """Return the cost of a number of tokens by their kind."""
        cached = self.prompt if self.cached_prompt is None else self.cached_prompt
        full = EXACT.multiply(self.prompt, prompt_tokens - cached_tokens)
        prompt = EXACT.add(full, EXACT.multiply(cached, cached_tokens))
        return Cost(of_million(prompt), of_million(EXACT.multiply(self.completion, completion_tokens)))


class OffPeak(Struct, frozen=True):
    """The price of off-peak hours: from `start` to `end`, in minutes of the local day; an earlier end is tomorrow's."""

    start: int
    end: int
    price: Price


class PricePeriod(Struct, frozen=True):
    """The prices from a date on; without a date, from the beginning.

    `cached_share` is the share of prompt tokens that are priced as cached, None if it is not configured.
    """

    price: Price
    since: Optional[dt.date] = None
    off_peak: Optional[OffPeak] = None
    cached_share: Optional[Decimal] = None


class Prices(Struct, frozen=True):
    """Prices by model name or id, each in the order of their dates, and their currency."""

    currency: str
    models: Dict[str, Tuple[PricePeriod, ...]]

    def of(self, *names: str) -> Optional[Tuple[PricePeriod, ...]]:
        """Return the prices of the first of a model's names and ids that has some, else None."""
        return next((self.models[name] for name in names if name in self.models), None)

    @property
    def has_cached_share(self) -> bool:
        """Return True if each price says how much of the prompt is cached: no cost is too high for lack of it."""
        return all(period.cached_share is not None for periods in self.models.values() for period in periods)


def of_million(amount: Decimal) -> Decimal:
    """Divide by a million."""
    return EXACT.scaleb(amount, -6)


def sum_costs(costs: Iterable[Decimal]) -> Decimal:
    """Add up costs without rounding."""
    return reduce(EXACT.add, costs, Decimal(0))


def read_prices(value: Any, path: str) -> Prices:
    """Parse `prices`; raise ConfigError for the first error."""
    check_mapping(value, ("currency", "models", "cached_share"), path, ("currency", "models"))
    currency = value.get("currency")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise ConfigError(f"{path}.currency: must be three capital letters, such as CNY")
    share = _share(value.get("cached_share"), f"{path}.cached_share")
    entries = read_entries(value.get("models"), f"{path}.models", ID_OR_NAME)
    models = {name: _read_periods(entry, f"{path}.models.{name}", share) for name, entry in entries.items()}
    return Prices(currency, models)


def _read_periods(value: Any, path: str, share: Optional[Decimal]) -> Tuple[PricePeriod, ...]:
    if not isinstance(value, list):
        return (_read_period(value, path, share),)
    if not value:
        raise ConfigError(f"{path}: must be prices with prompt and completion, or a list of them with `from`")
    periods = tuple(_read_period(entry, f"{path}[{i}]", share) for i, entry in enumerate(value))
    for i, (before, after) in enumerate(zip(periods, periods[1:]), 1):
        if after.since is None:
            raise ConfigError(f"{path}[{i}].from: is missing; only the first price of a list may lack its date")
        if before.since is not None and after.since <= before.since:
            raise ConfigError(f"{path}[{i}].from: must be later than {before.since}, the date of the price before it")
    return periods


def _read_period(value: Any, path: str, share: Optional[Decimal]) -> PricePeriod:
    check_mapping(value, PRICE_KEYS, path, PRICE_KEYS[:2])
    since = None if value.get("from") is None else _read_date(value["from"], f"{path}.from")
    own = _share(value.get("cached_share"), f"{path}.cached_share")
    off_peak = value.get("off_peak")
    return PricePeriod(
        _read_price(value, path, since),
        since,
        None if off_peak is None else _read_off_peak(off_peak, f"{path}.off_peak", since),
        share if own is None else own,
    )


def _read_date(value: Any, path: str) -> dt.date:
    with contextlib.suppress(ValueError):
        date = parse_moment(value)
        if not isinstance(date, dt.datetime):
            return date
    text = "must be a date that exists, without a time, such as 2026-10-01: prices change at local midnight"
    raise ConfigError(f"{path}: {text}")


def _read_off_peak(value: Any, path: str, since: Optional[dt.date]) -> OffPeak:
    check_mapping(value, OFF_PEAK_KEYS, path, OFF_PEAK_KEYS[:3])
    hours = value.get("hours")
    form = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", hours, re.ASCII) if isinstance(hours, str) else None
    if form:
        first, first_minute, last, last_minute = map(int, form.groups())
        start, end = first * 60 + first_minute, last * 60 + last_minute
        if first_minute < 60 and last_minute < 60 and start < DAY_MINUTES and end <= DAY_MINUTES and start != end:
            return OffPeak(start, end, _read_price(value, path, since, is_off_peak=True))
    text = 'must be two different times of the day in quotes, such as "00:30-08:30" or "22:00-06:00"'
    raise ConfigError(f"{path}.hours: {text}")


def _read_price(value: Any, path: str, since: Optional[dt.date], is_off_peak: bool = False) -> Price:
    prompt, completion = (_amount(value.get(part), f"{path}.{part}") for part in PRICE_KEYS[:2])
    cached = value.get("cached_prompt")
    cached_prompt = None if cached is None else _amount(cached, f"{path}.cached_prompt")
    return Price(prompt, completion, cached_prompt, since.isoformat() if since else "", is_off_peak)


def _amount(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{path}: must be a number, the price of a million tokens, such as 2.0")
    if not 0 <= value <= MAX_PRICE:
        raise ConfigError(f"{path}: must be 0 to {MAX_PRICE:,}")
    return Decimal(repr(value))


def _share(value: Any, path: str) -> Optional[Decimal]:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    share = Decimal(repr(value)) if is_number else Decimal(2)
    if share > 1 or share != round(share, MAX_SHARE_DECIMALS):
        text = f"must be a share from 0 to 1, with at most {MAX_SHARE_DECIMALS} decimals, such as 0.4"
        raise ConfigError(f"{path}: {text}")
    return share
