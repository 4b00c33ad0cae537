"""The hours of models in the ledger: which to ask in a cycle, what to learn from the answers, what to give out."""

from __future__ import annotations

from functools import partial
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, Data, DataQuery, Dimensions
from ...cloud.cloud_eye.metric_data import most_metrics
from ...config import Instance
from ...scheduling.priority_queue import BACKFILL, DUE, HEALING, QueryTask
from ...state import Store
from ..hour_store import Ledger
from ..hour_values import DAY, HOUR, MOST_CLAIMS, Values, floor, oldest, settled_until
from ..schema import Book, open_book
from .model_list import ASKED, Listed, ModelList, has_hours
from .model_series import SETTLES, believed_hours, ledger_name, packed

FIRST = -(2**62)
"""Before what else is as urgent: one call brings the hours of many models."""
LAST = 3
"""Hours that are asked in each cycle."""
ROUNDS = {HEALING: (26, HOUR), BACKFILL: (239, DAY)}
"""How many hours are asked how often. Cloud Eye tells 10 days, and moves what lies before them up in silence."""

Claims = Mapping[Tuple[Dimensions, int], Tuple[Values, ...]]
"""What this cycle's answers say of hours that the ledger knows otherwise."""


class Began(Struct, omit_defaults=True):
    """Remember when the history of a project's models began, in milliseconds: none of them counts what was before."""

    at: int = 0


class Round(Struct, omit_defaults=True):
    """Remember when a round of questions began, in milliseconds, and by their ledgers which models are still left."""

    began: int = 0
    left: List[str] = []


class ModelHours(Struct, frozen=True):
    """Keep the hours of a project's models; `doubts` says what of the answers was not believed.

    Methods raise UnusableError where the store cannot be written.
    """

    instance: Instance
    store: Store
    project_id: str
    doubts: List[str] = []

    @property
    def place(self) -> str:
        """Name the project in notes."""
        return f"{self.instance.cloud_eye_endpoint} {self.project_id}"

    def name(self, listed: Listed) -> str:
        """Name the ledger of a model."""
        return ledger_name(self.instance.cloud_eye_endpoint, self.project_id, listed.dimensions)

    def ledgers(self, book: Book, models: Sequence[Listed]) -> Iterator[Tuple[Listed, Ledger]]:
        """Find the ledgers of models; one that is new begins with the history of all."""
        began = book.note(Began, self.place).at
        for listed in models:
            ledger = Ledger(book, self.name(listed), SETTLES)
            if began:
                ledger.begin(began)
            yield listed, ledger

    def begin(self, book: Book) -> None:
        """Begin the history of all models, unless it has begun: Cloud Eye has answered about their use."""
        # One from beyond now was written under a clock that was ahead: it would keep hours from counting.
        if not 0 < book.note(Began, self.place).at <= book.now:
            book.keep(self.place, Began(book.now))

    def first(self, book: Book) -> int:
        """Tell where the hours begin."""
        began = min(book.note(Began, self.place).at or book.now, book.now)
        return max(floor(began) - self.instance.backfill_days * DAY, oldest(book.now))

    def asks(self, models: ModelList, now: int) -> Iterator[QueryTask]:
        """List what to ask in a cycle: the last hours, and what is left of each round."""
        named = {self.name(each): each for each in models.models if has_hours(each.metrics) and each.seen > now - ASKED}
        with open_book(self.store, now) as book:
            known = {name for (name,) in book.run("SELECT name FROM series").fetchall()}
            new = [name for name in named if name not in known]
            list(self.ledgers(book, [named[name] for name in new]))
            first = self.first(book)
            left = {rank: self._left(book, rank, named, new, now) for rank in ROUNDS}
        present = {each.dimensions for each in models.present}
        there = [each for each in named.values() if each.dimensions in present]
        yield from self._round(DUE, there, LAST, first, now)
        for rank, names in left.items():
            for gone in (False, True):  # apart: what is listed no more may be refused
                some = [named[name] for name in names if (named[name].dimensions not in present) == gone]
                yield from self._round(rank, some, ROUNDS[rank][0], first, now, gone)

    def _left(self, book: Book, rank: int, named: Dict[str, Listed], new: Sequence[str], now: int) -> List[str]:
        at, every = f"{self.place} {rank}", ROUNDS[rank][1]
        state = book.note(Round, at)
        if now // every != state.began // every:
            state = Round(now, list(named))
        else:
            state.left = [name for name in dict.fromkeys([*state.left, *new]) if name in named]
        book.keep(at, state)
        return state.left

    def _round(
        self, rank: int, models: Sequence[Listed], hours: int, first: int, now: int, gone: bool = False
    ) -> Iterator[QueryTask]:
        until = floor(now)
        start = max(first, until - hours * HOUR)
        if start >= until:
            return
        yield from self._asks(rank, models, start, until, now, {}, gone)

    def _asks(
        self, rank: int, models: Sequence[Listed], start: int, until: int, now: int, claims: Claims, gone: bool = False
    ) -> Iterator[QueryTask]:
        for batch, metrics in packed(models, most_metrics((until - start) // HOUR), HOURLY_METRICS):
            query = DataQuery(metrics, start, until, HOUR)
            learn, done = partial(self._learn, rank, batch, query, now, claims), partial(self._done, rank, batch, now)
            yield QueryTask((rank, FIRST), query, learn, done if gone else None)

    def _learn(
        self, rank: int, batch: Sequence[Listed], query: DataQuery, now: int, claims: Claims, data: Data
    ) -> Sequence[QueryTask]:
        # Half of an hour would be a wrong hour: a model of which anything is not believed waits for the next answer.
        believed = [each for each in batch if each.dimensions not in data.doubted]
        self.doubts.extend(data.doubts)
        claimed: Dict[Tuple[Dimensions, int], Tuple[Values, ...]] = {}
        with open_book(self.store, now) as book:
            self.begin(book)
            for listed, ledger in self.ledgers(book, believed):
                hours = dict(believed_hours(query, data, listed.dimensions))
                for at in _differing(ledger, hours, query, now):
                    before = claims.get((listed.dimensions, at), ())
                    if hours[at] not in before:
                        claimed[listed.dimensions, at] = (*before, hours.pop(at))
                ledger.put_each(list(hours.items()))
        # A settled hour that is known changes only when two answers of one cycle agree.
        asked = {place: values for place, values in claimed.items() if len(values) < MOST_CLAIMS}
        again = [each for each in believed if any(dimensions == each.dimensions for dimensions, _ in asked)]
        self._done(rank, [each for each in believed if each not in again], now)
        starts = [at for _, at in asked]
        return list(self._asks(rank, again, min(starts), max(starts) + HOUR, now, asked)) if asked else []

    def _done(self, rank: int, models: Sequence[Listed], now: int) -> None:
        """Strike models off the list of a round."""
        if rank not in ROUNDS:
            return
        done = {self.name(each) for each in models}
        with open_book(self.store, now) as book:
            at = f"{self.place} {rank}"
            state = book.note(Round, at)
            state.left = [name for name in state.left if name not in done]
            book.keep(at, state)


def _differing(ledger: Ledger, hours: Mapping[int, Values], query: DataQuery, now: int) -> List[int]:
    """List the known hours of which an answer says something else; of those that may still grow, that nothing was."""
    final = settled_until(now, SETTLES)
    known = ledger.known(query.start, query.until)
    return [
        at
        for at, values in hours.items()
        if known.get(at, values) != values and (at + HOUR <= final or not any(values))
    ]
