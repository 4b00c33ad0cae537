"""A history in a file of its own, and an account whose hours are a plain dictionary."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from maas_usage_check.history import agenda
from maas_usage_check.history.agenda import Question
from maas_usage_check.history.ledger import Ledger
from maas_usage_check.history.tables import Book, open_book
from maas_usage_check.store import Store

HOUR = 3_600_000
START = 1_795_435_200_000 // HOUR * HOUR
Values = Tuple[int, int, int, int, int]


def use(tokens: int) -> Values:
    """Make five different numbers of one."""
    return (tokens, tokens * 3 // 4, tokens // 4, (tokens + 9) // 10, tokens // 100)


class History:
    """Hold the store, and the time in milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.store = Store(lambda: str(folder / "state.sqlite"))

    @contextlib.contextmanager
    def book(self) -> Iterator[Book]:
        with open_book(self.store, self.now) as book:
            yield book

    @contextlib.contextmanager
    def ledger(self, name: str = "a") -> Iterator[Ledger]:
        with self.book() as book:
            yield Ledger(book, name)


def put(history: History, at: int, tokens: int) -> None:
    """Write one hour into the ledger."""
    with history.ledger() as ledger:
        ledger.put(at, at + HOUR, use(tokens))


class Hours:
    """What the cloud says of each hour: the oracle."""

    def __init__(self) -> None:
        self.of: Dict[int, int] = defaultdict(int)
        self.calls = 0

    def answer(self, start: int, until: int) -> Values:
        self.calls += 1
        assert start % HOUR == until % HOUR == 0
        assert start < until
        columns = zip(*(use(self.of[at]) for at in range(start, until, HOUR)))
        return tuple(map(sum, columns))  # type: ignore[return-value]


def cycle(history: History, hours: Hours, first: int, most: Optional[int] = None) -> int:
    """Ask as a cycle does, the newest first, with at most so many calls; return how many it took."""
    before = hours.calls
    with history.ledger() as ledger:
        due = agenda.prepare(ledger, first, history.now)
        waiting: List[Question] = [*due, *(each for each in agenda.open_questions(ledger) if each not in due)]
    while waiting and (most is None or hours.calls - before < most):
        question = max(waiting, key=lambda each: (each in due, each.until))
        waiting.remove(question)
        values = hours.answer(question.newer, question.until)
        with history.ledger() as ledger:
            waiting += agenda.learn(ledger, question, values)
    return hours.calls - before


def held(history: History) -> Dict[int, Tuple[int, ...]]:
    """Read all hours that are known."""
    with history.book() as book:
        rows = book.run(
            "SELECT start, total_tokens, prompt_tokens, completion_tokens, requests, errors FROM hours ORDER BY start"
        )
        return {row[0]: tuple(row[1:]) for row in rows}
