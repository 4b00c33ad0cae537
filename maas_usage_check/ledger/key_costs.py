"""The cost of API keys in a period: of many series, so the database adds them up."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Collection, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from ..config.prices import Price
from .budgets import Member
from .known_usage import Span
from .schema import Transaction, sums_of

TOKENS = sums_of("prompt_tokens", "completion_tokens")


class KeyCosts:
    """The costs of keys with some labels, in a snapshot of the ledger.

    Args:
        transaction: the snapshot.
        members: the models, and models by key, of a project.
        labels: of the keys.
    """

    def __init__(self, transaction: Transaction, members: Iterable[Member], labels: Collection[str]) -> None:
        self._select = transaction.select
        self._members = {
            each.hour_store.id: each
            for each in members
            if each.is_by_key and each.hour_store.id and each.series.tags["api_key"] in labels
        }

    def of(self, spans: Sequence[Span]) -> Dict[str, Optional[Decimal]]:
        """Return the cost of each label in some hours and days; None if one of them is not known."""
        amounts: Dict[str, Decimal] = defaultdict(Decimal)
        unknown = set()
        for start, until, hours in _runs(spans):
            stored: Dict[int, int] = defaultdict(int)
            for series, count, cost in (*self._hours(start, until), *self._days(start, until)):
                stored[series] += count
                amounts[self._members[series].series.tags["api_key"]] += cost
            for series, member in self._members.items():
                if stored[series] < hours and member.known_hours(start, until) < hours:
                    unknown.add(member.series.tags["api_key"])
        labels = {member.series.tags["api_key"] for member in self._members.values()}
        return {label: None if label in unknown else amounts[label] for label in labels}

    def _hours(self, start: int, until: int) -> Iterator[Tuple[int, int, Decimal]]:
        """Yield series with the number of their hours in a window, and the cost."""
        rows = self._select(
            f"SELECT series, COUNT(*), {TOKENS} FROM hours WHERE {self._of_members} AND start >= ? AND start < ? "
            "GROUP BY series",
            (start, until),
        )
        for series, count, *tokens in rows:
            price = self._members[series].series.price
            yield series, count, price.cost(*tokens) if price else Decimal(0)

    def _days(self, start: int, until: int) -> Iterator[Tuple[int, int, Decimal]]:
        """Yield series with the hours of their days in a window, and the cost at one price of that time."""
        rows = self._select(
            f"SELECT series, SUM(hours), currency, prompt, completion, {TOKENS} FROM days JOIN prices ON price = id "
            f"WHERE {self._of_members} AND start >= ? AND until <= ? GROUP BY series, price",
            (start, until),
        )
        for series, hours, currency, prompt, completion, *tokens in rows:
            is_priced = currency and currency == self._members[series].series.currency
            cost = Price(Decimal(prompt), Decimal(completion)).cost(*tokens) if is_priced else Decimal(0)
            yield series, hours, cost

    @property
    def _of_members(self) -> str:
        return f"series IN ({', '.join(map(str, self._members))})"  # more than a statement may have values


def _runs(spans: Sequence[Span]) -> List[Tuple[int, int, int]]:
    """Join spans that adjoin; return the start, the end and the known hours of each run."""
    runs: List[Tuple[int, int, int]] = []
    for start, until, hours in sorted(spans):
        if runs and runs[-1][1] == start:
            first, _, before = runs.pop()
            runs.append((first, until, before + hours))
        else:
            runs.append((start, until, hours))
    return runs
