"""The cost of API keys in a period: of many series, so the database adds them up."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Collection, Dict, Iterable, Iterator, Optional, Sequence, Tuple

from ..config.prices import EXACT
from .budgets import Member, known_hours
from .day_store import PRICE_COLUMNS, stored_price
from .known_usage import Span, join_spans
from .priced_hours import priced_sums
from .schema import Transaction, sums_of

TOKENS = sums_of("prompt_tokens", "completion_tokens", "cached_tokens")


class KeyCosts:
    """The costs of keys with some labels, in a snapshot of the ledger.

    Args:
        transaction: the snapshot.
        members: the models, and models by key, of a project.
        labels: of the keys.
    """

    def __init__(self, transaction: Transaction, members: Iterable[Member], labels: Collection[str]) -> None:
        self._transaction = transaction
        self._members = {
            each.hour_store.id: each
            for each in members
            if each.is_by_key and each.hour_store.id and each.series.tags["api_key"] in labels
        }

    def of(self, spans: Sequence[Span]) -> Dict[str, Optional[Decimal]]:
        """Return the cost of each label in some hours and days; None if one of them is not known."""
        amounts: Dict[str, Decimal] = defaultdict(Decimal)
        unknown = set()
        for start, until, hours in join_spans(spans):
            stored: Dict[int, int] = defaultdict(int)
            for series, count, cost in (*self._hours(start, until), *self._days(start, until)):
                stored[series] += count
                label = self._members[series].series.tags["api_key"]
                amounts[label] = EXACT.add(amounts[label], cost)
            incomplete = [member for series, member in self._members.items() if stored[series] < hours]
            for member, known in zip(incomplete, known_hours(incomplete, start, until)):
                if known < hours:
                    unknown.add(member.series.tags["api_key"])
        labels = {member.series.tags["api_key"] for member in self._members.values()}
        return {label: None if label in unknown else amounts[label] for label in labels}

    def _hours(self, start: int, until: int) -> Iterator[Tuple[int, int, Decimal]]:
        """Yield series with the number of their hours in a window, and the cost."""
        prices = {series: member.series.prices for series, member in self._members.items()}
        for series, each in priced_sums(self._transaction, prices, start, until):
            yield series, each.hours, each.cost.total

    def _days(self, start: int, until: int) -> Iterator[Tuple[int, int, Decimal]]:
        """Yield series with the hours of their days in a window, and the cost at one price of that time."""
        rows = self._transaction.select(
            f"SELECT series, SUM(hours), currency, {PRICE_COLUMNS}, {TOKENS} FROM days JOIN prices ON price = id "
            f"WHERE series IN ({', '.join(map(str, self._members))}) AND start >= ? AND until <= ? "
            "GROUP BY series, price",  # more series than a statement may have values
            (start, until),
        )
        for series, hours, currency, *price, prompt, completion, cached in rows:
            is_priced = currency and currency == self._members[series].series.currency
            cost = stored_price(*price).cost(prompt, completion, cached) if is_priced else Decimal(0)
            yield series, hours, cost
