"""A history in memory, and an account whose hours are a plain dictionary."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Dict, List, Optional, Tuple

from maas_usage_check.ledger import bisect
from maas_usage_check.ledger.bisect import Question
from maas_usage_check.ledger.hour_store import Ledger
from maas_usage_check.ledger.schema import SCHEMA, Book

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
    def book(self) -> Book:
        return Book(self._connection, self.now)

    def ledger(self, name: str = "a") -> Ledger:
        ledger = Ledger(self.book, name)
        ledger.begin(self.now)
        return ledger

    def put(self, at: int, tokens: int) -> None:
        """Write one hour into the ledger."""
        self.ledger().put(at, at + HOUR, use(tokens))

    def held(self) -> Dict[int, Tuple[int, ...]]:
        """Read all known hours."""
        columns = "start, total_tokens, prompt_tokens, completion_tokens, requests, errors"
        return {row[0]: tuple(row[1:]) for row in self.book.run(f"SELECT {columns} FROM hours ORDER BY start")}


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
    before, ledger = hours.calls, history.ledger()
    due = bisect.prepare(ledger, first, history.now)
    waiting: List[Question] = [*due, *(each for each in bisect.open_questions(ledger) if each not in due)]
    while waiting and (most is None or hours.calls - before < most):
        question = max(waiting, key=lambda each: (each in due, each.until))
        waiting.remove(question)
        waiting += bisect.learn(ledger, question, hours.answer(question.newer, question.until))
    return hours.calls - before
