"""Counters of cost: the growth of the token counters of a series, at the prices of the hours in which it was used."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Optional, Sequence, Tuple

from msgspec import Struct

from ..config.model_prices import ModelPrices
from ..config.prices import EXACT, Cost
from ..config.ranges import ceil_hour
from .counters import held_back
from .hour_store import HourStore
from .hour_values import COMPLETION_TOKENS, HOUR, HOURS_KEPT, PROMPT_TOKENS, Values, floor_hour, oldest_hour, subtract
from .priced_hours import priced_sums
from .schema import Row


class CostCounter(Struct, omit_defaults=True):
    """The cost that a consumer has got of a series, and the cost of the hours that it contains.

    Attributes:
        cost: so far; None before it had a price. An earlier version did not store its parts.
        prompt_cost, completion_cost: so far.
        prices: the digest of the prices of the bases.
        since: the first hour of the bases, in milliseconds; 0 without any.
        prompt_base, completion_base: the largest cost of these hours so far.
        prompt_tokens, completion_tokens: the counters of the tokens that are in `cost`.
    """

    stored_kind: ClassVar[str] = "Priced"

    cost: Optional[Decimal] = None
    prompt_cost: Decimal = Decimal(0)
    completion_cost: Decimal = Decimal(0)
    prices: str = ""
    since: int = 0
    prompt_base: Decimal = Decimal(0)
    completion_base: Decimal = Decimal(0)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total(self) -> Cost:
        """Return the cost so far by its parts."""
        return Cost(self.prompt_cost, self.completion_cost)


class CostMeter:
    """Count the cost of one series for one consumer.

    The cost of its hours is compared with that in the consumer's last cycle. Where that is not known, because prices
    were edited or missing, or hours are no longer kept, the growth is priced as tokens of the hours that changed last.

    Args:
        hour_store: of the series.
        prices: of its tokens.
        name: of the stored entry.
        counters: of the series.
    """

    def __init__(self, hour_store: HourStore, prices: ModelPrices, name: str, counters: Values) -> None:
        self._hour_store = hour_store
        self._prices = prices
        self._name = name
        self._counters = counters
        self._now_ms = hour_store.transaction.now_ms
        self._began_ms = hour_store.began_ms
        self._first_counted = ceil_hour(self._began_ms - HOUR + 1)  # the first hour that ended after that
        self.counted = hour_store.transaction.get(CostCounter, name)

    def add(self, grown: Values) -> Cost:
        """Add the growth of the token counters since the consumer's last cycle; return its cost."""
        if not self._began_ms:  # no hour is counted yet
            self._store(Cost(), Cost(), since=0)
            return Cost()
        counted, growth_tokens = self.counted, _tokens(grown)
        since, oldest = max(self._first_counted, oldest_hour(self._now_ms)), self._now_ms - HOURS_KEPT
        is_based = (
            counted.prices == self._prices.digest
            and max(self._first_counted, oldest) <= counted.since <= since
            and (counted.prompt_tokens, counted.completion_tokens) == _tokens(subtract(self._counters, grown))
        )
        if is_based and not any(growth_tokens):
            return Cost()
        if is_based:
            before = Cost(counted.prompt_base, counted.completion_base)
            base = self._cost_since(counted.since, self._end)
            base = Cost(max(base.prompt, before.prompt), max(base.completion, before.completion))
            growth = base.minus(before)
            if since > counted.since:
                base = base.minus(self._cost_since(counted.since, since))
        else:
            growth = self._cost_of_last(*growth_tokens)
            held = _tokens(held_back(self._hour_store, self._counters))
            base = self._cost_since(since, self._end) + self._cost_of_last(*held)
        self._store(growth, base, since)
        return growth

    def _store(self, growth: Cost, base: Cost, since: int) -> None:
        total, tokens = self.counted.total + growth, _tokens(self._counters)
        cost = EXACT.add(self.counted.cost or Decimal(0), growth.total)
        self.counted = CostCounter(
            cost, total.prompt, total.completion, self._prices.digest, since, base.prompt, base.completion, *tokens
        )
        self._hour_store.transaction.put(self._name, self.counted)

    def _cost_since(self, start: int, until: int) -> Cost:
        sums = priced_sums(self._hour_store.transaction, {self._hour_store.id: self._prices}, start, until)
        return sum((each.cost for _, each in sums), Cost())

    def _cost_of_last(self, prompt: int, completion: int) -> Cost:
        """Return the cost of so many tokens in the hours that changed last."""
        cost, start = Cost(), self._first_counted
        for start, *used in self._last_changed() if prompt or completion else ():
            part = min(prompt, used[0]), min(completion, used[1])
            cost += self._prices.cost(start, *part) or Cost()
            prompt, completion = prompt - part[0], completion - part[1]
            if not prompt and not completion:
                return cost
        return cost + (self._prices.cost(start, prompt, completion) or Cost())

    def _last_changed(self) -> Sequence[Row]:
        return self._hour_store.transaction.select(
            "SELECT start, prompt_tokens, completion_tokens FROM hours WHERE series = ? AND start >= ? "
            "ORDER BY changed DESC, start DESC",
            (self._hour_store.id, self._first_counted),
        )

    @property
    def _end(self) -> int:
        return floor_hour(max(self._now_ms, self._hour_store.transaction.logical_time())) + HOUR


def _tokens(values: Values) -> Tuple[int, int]:
    return values[PROMPT_TOKENS], values[COMPLETION_TOKENS]
