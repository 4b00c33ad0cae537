"""A ledger in memory, and the cloud's hours as a plain dictionary."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import defaultdict
from typing import Dict, List, Optional, Tuple

from maas_usage_check.config.model_prices import ModelPrices
from maas_usage_check.config.prices import Price, PricePeriod
from maas_usage_check.ledger import bisect
from maas_usage_check.ledger.bisect import PendingWindow
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.schema import Transaction
from maas_usage_check.state import Transaction as StateTransaction
from maas_usage_check.state import schema

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_795_435_200_000 // HOUR * HOUR
Values = Tuple[int, int, int, int, int]


def make_values(tokens: int) -> Values:
    """Make five different numbers from one."""
    return (tokens, tokens * 3 // 4, tokens // 4, (tokens + 9) // 10, tokens // 100)


def one_price(price: Price) -> ModelPrices:
    """Return the prices of a model whose price never changes."""
    return ModelPrices((PricePeriod(price),), lambda: dt.timezone.utc)


class MemoryLedger:
    """The tables in memory, and a clock of its own in milliseconds."""

    def __init__(self) -> None:
        self.now_ms = START
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        schema.migrate(self._connection, ":memory:")

    @property
    def transaction(self) -> Transaction:
        return Transaction(StateTransaction(self._connection), self.now_ms)

    def hour_store(self, name: str = "a") -> HourStore:
        hour_store = HourStore(self.transaction, name, 3 * HOUR)
        hour_store.begin(self.now_ms)
        return hour_store

    def put(self, at: int, tokens: int) -> None:
        """Store one hour."""
        self.hour_store().put(at, at + HOUR, make_values(tokens))

    def known_hours(self) -> Dict[int, Tuple[int, ...]]:
        """Read all known hours."""
        columns = "start, total_tokens, prompt_tokens, completion_tokens, requests, errors"
        return {
            row[0]: tuple(row[1:]) for row in self.transaction.select(f"SELECT {columns} FROM hours ORDER BY start")
        }


class CloudHours:
    """The cloud's tokens of each hour, as the oracle; `every` is those of each hour from `first` to START."""

    def __init__(self, first: int = START, every: int = 0) -> None:
        self.tokens: Dict[int, int] = defaultdict(int, dict.fromkeys(range(first, START, HOUR), every))
        self.requests = 0

    def answer(self, start: int, until: int) -> Values:
        self.requests += 1
        assert start % HOUR == until % HOUR == 0
        assert start < until
        columns = zip(*(make_values(self.tokens[at]) for at in range(start, until, HOUR)))
        return tuple(map(sum, columns))  # type: ignore[return-value]

    def expected(self, first: int, until: int) -> Dict[int, Values]:
        return {at: make_values(self.tokens[at]) for at in range(first, until, HOUR)}


def run_cycle(ledger: MemoryLedger, hours: CloudHours, first: int, most: Optional[int] = None) -> int:
    """Query as a cycle does, the newest first, with at most `most` requests; return how many it sent."""
    before, hour_store = hours.requests, ledger.hour_store()
    due = bisect.plan_windows(hour_store, first)
    queue: List[PendingWindow] = [*due, *(each for each in bisect.pending_windows(hour_store) if each not in due)]
    while queue and (most is None or hours.requests - before < most):
        window = max(queue, key=lambda each: (each in due, each.until))
        queue.remove(window)
        queue += bisect.on_answer(hour_store, window, hours.answer(window.query_from, window.until))
    return hours.requests - before
