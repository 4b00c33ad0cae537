"""A history in memory, and an account whose hours are a plain dictionary."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Dict, List, Optional, Tuple

from maas_usage_check.ledger import bisect
from maas_usage_check.ledger.bisect import PendingWindow
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.schema import SCHEMA, Transaction

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_795_435_200_000 // HOUR * HOUR
Values = Tuple[int, int, int, int, int]


def use(tokens: int) -> Values:
    """Make five different numbers of one."""
    return (tokens, tokens * 3 // 4, tokens // 4, (tokens + 9) // 10, tokens // 100)


class History:
    """Hold the tables, and the time in milliseconds."""

    def __init__(self) -> None:
        self.now = START
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in SCHEMA:
            self._connection.execute(statement)

    @property
    def transaction(self) -> Transaction:
        return Transaction(self._connection, self.now)

    def hour_store(self, name: str = "a") -> HourStore:
        hour_store = HourStore(self.transaction, name)
        hour_store.begin(self.now)
        return hour_store

    def put(self, at: int, tokens: int) -> None:
        """Write one hour into the ledger."""
        self.hour_store().put(at, at + HOUR, use(tokens))

    def held(self) -> Dict[int, Tuple[int, ...]]:
        """Read all known hours."""
        columns = "start, total_tokens, prompt_tokens, completion_tokens, requests, errors"
        return {row[0]: tuple(row[1:]) for row in self.transaction.run(f"SELECT {columns} FROM hours ORDER BY start")}


class Hours:
    """What the cloud says of each hour: the oracle. `every` is the use of each hour from `first` to START."""

    def __init__(self, first: int = START, every: int = 0) -> None:
        self.of: Dict[int, int] = defaultdict(int, dict.fromkeys(range(first, START, HOUR), every))
        self.calls = 0

    def answer(self, start: int, until: int) -> Values:
        self.calls += 1
        assert start % HOUR == until % HOUR == 0
        assert start < until
        columns = zip(*(use(self.of[at]) for at in range(start, until, HOUR)))
        return tuple(map(sum, columns))  # type: ignore[return-value]

    def truth(self, first: int, until: int) -> Dict[int, Values]:
        return {at: use(self.of[at]) for at in range(first, until, HOUR)}


def cycle(history: History, hours: Hours, first: int, most: Optional[int] = None) -> int:
    """Ask as a cycle does, the newest first, with at most so many calls; return how many it took."""
    before, hour_store = hours.calls, history.hour_store()
    due = bisect.plan_windows(hour_store, first, history.now)
    waiting: List[PendingWindow] = [*due, *(each for each in bisect.pending_windows(hour_store) if each not in due)]
    while waiting and (most is None or hours.calls - before < most):
        question = max(waiting, key=lambda each: (each in due, each.until))
        waiting.remove(question)
        waiting += bisect.on_answer(hour_store, question, hours.answer(question.query_from, question.until))
    return hours.calls - before
