"""The hours of one instance: what to ask about them in a cycle, and what to learn from the answers."""

from __future__ import annotations

from functools import partial
from typing import Dict, List, Sequence, Set, Tuple

from msgspec import Struct

from ..cloud.statistics import Answer
from ..config import Instance
from ..scheduling.priority_queue import BACKFILL, CHECK, DUE, HEALING, QueryTask
from ..state import Store
from . import bisect
from .bisect import Question
from .counters import freeze
from .daily_check import AddUp
from .hour_series import HourSeries, series_of, values_of
from .hour_store import Ledger
from .hour_values import DAY, oldest, settled_until
from .schema import Book, open_book


class Account(Struct, frozen=True):
    """Say whose hours they are: a project, asked with the key that goes by this name; empty where it is not known."""

    project_id: str = ""
    key: str = ""


class History:
    """Keep the hours of an instance in a store. Methods raise UnusableError where it cannot be written.

    Times are milliseconds since 1970.
    """

    def __init__(self, instance: Instance, store: Store) -> None:
        self.instance = instance
        self.store = store
        self._asked: Set[int] = set()

    def ledgers(self, book: Book, account: Account) -> Dict[str, Tuple[HourSeries, Ledger]]:
        """Find the ledgers of the instance's series by their names."""
        named = {one.name(self.instance.endpoint, account.project_id): one for one in series_of(self.instance)}
        return {name: (one, Ledger(book, name)) for name, one in named.items()}

    def reach(self, ledger: Ledger) -> Tuple[int, int]:
        """Tell where the hours begin here, and from where on they are asked."""
        return ledger.reach(oldest(ledger.book.now), self.instance.backfill_days * DAY)

    def asks(self, account: Account, now: int) -> List[QueryTask]:
        """List what to ask in a cycle; while hours do not add up, that alone."""
        with open_book(self.store, now) as book:
            ledgers = self.ledgers(book, account)
            add_up = book.note(AddUp, account.key)
            asks: List[QueryTask] = []
            begun = add_up.begin({name: ledger for name, (_, ledger) in ledgers.items()}, oldest(now), now)
            book.keep(account.key, add_up)
            if begun:
                asks.append(self._check(account, add_up, ledgers[add_up.series][0], now))
            if add_up.failed:
                return asks
            asked = dict(book.run("SELECT id, asked FROM series").fetchall())
            for series, ledger in ledgers.values():
                due = bisect.prepare(ledger, self.reach(ledger)[1], now)
                for question in bisect.open_questions(ledger):
                    rank = (DUE, asked[ledger.id]) if question in due else _rank(ledger, question)
                    asks.append(self._ask(series, account, question, rank, now))
            return asks

    def note_asked(self, now: int) -> None:
        """Take note of which series were asked: those that were not go first in the next cycle."""
        asked, self._asked = self._asked, set()
        if asked:
            with open_book(self.store, now) as book:
                book.run_many("UPDATE series SET asked = ? WHERE id = ?", [(book.tick(), each) for each in asked])
                freeze(book, oldest(now))

    def _ask(
        self, series: HourSeries, account: Account, question: Question, rank: Tuple[int, ...], now: int
    ) -> QueryTask:
        learn = partial(self._learn, series, account, question, rank, now)
        return QueryTask((*rank, -question.until), series.query(question.newer, question.until), learn)

    def _learn(
        self,
        series: HourSeries,
        account: Account,
        question: Question,
        rank: Tuple[int, ...],
        now: int,
        answer: Answer,
    ) -> List[QueryTask]:
        with open_book(self.store, now) as book:
            ledger = Ledger(book, series.name(self.instance.endpoint, account.project_id))
            ledger.begin(now)
            follow = bisect.learn(ledger, question, values_of(answer.usage))
            ranks = [rank if each.until > settled_until(now) else _rank(ledger, each) for each in follow]
            self._asked.add(ledger.id)
        return [self._ask(series, account, each, rank, now) for each, rank in zip(follow, ranks)]

    def _check(self, account: Account, add_up: AddUp, series: HourSeries, now: int) -> QueryTask:
        learn = partial(self._learn_check, account, len(add_up.answers), series, now)
        return QueryTask((CHECK,), series.query(*add_up.next_window), learn)

    def _learn_check(
        self, account: Account, place: int, series: HourSeries, now: int, answer: Answer
    ) -> Sequence[QueryTask]:
        with open_book(self.store, now) as book:
            add_up = book.note(AddUp, account.key)
            more = add_up.learn(place, values_of(answer.usage), now)
            book.keep(account.key, add_up)
        return [self._check(account, add_up, series, now)] if more else []


def _rank(ledger: Ledger, question: Question) -> Tuple[int, ...]:
    if question.claims:  # of this cycle alone
        return (DUE, 0)
    return (HEALING if bisect.is_complete(ledger, question) else BACKFILL,)
