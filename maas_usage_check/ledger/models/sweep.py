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
from ..hour_store import HourStore
from ..hour_values import DAY, HOUR, MAX_CONFLICTS, Values, floor_hour, oldest_hour, settled_until
from ..schema import Transaction, write_transaction
from .model_list import QUERIED_FOR, ListedModel, ModelList, has_hours
from .model_series import SETTLED_AFTER, model_series_name, pack_batches, valid_hours

FIRST = -(2**62)
"""Before what else is as urgent: one call brings the hours of many models."""
RECENT_HOURS = 3
"""Hours that are asked in each cycle."""
SWEEPS = {HEALING: (26, HOUR), BACKFILL: (239, DAY)}
"""How many hours are asked how often. Cloud Eye tells 10 days, and moves what lies before them up in silence."""

Conflicts = Mapping[Tuple[Dimensions, int], Tuple[Values, ...]]
"""What this cycle's answers say of hours that the ledger knows otherwise."""


class Began(Struct, omit_defaults=True):
    """Remember when the history of a project's models began, in milliseconds: none of them counts what was before."""

    at: int = 0


class Round(Struct, omit_defaults=True):
    """Remember when a round of questions began, in milliseconds, and by their ledgers which models are still left."""

    began: int = 0
    left: List[str] = []


class ModelHourPlanner(Struct, frozen=True):
    """Keep the hours of a project's models; `doubts` says what of the answers was not believed.

    Methods raise UnusableError where the store cannot be written.
    """

    instance: Instance
    store: Store
    project_id: str
    warnings: List[str] = []

    @property
    def project_scope(self) -> str:
        """Name the project in notes."""
        return f"{self.instance.cloud_eye_endpoint} {self.project_id}"

    def name(self, listed: ListedModel) -> str:
        """Name the ledger of a model."""
        return model_series_name(self.instance.cloud_eye_endpoint, self.project_id, listed.dimensions)

    def hour_stores(
        self, transaction: Transaction, models: Sequence[ListedModel]
    ) -> Iterator[Tuple[ListedModel, HourStore]]:
        """Find the ledgers of models; one that is new begins with the history of all."""
        began = transaction.get(Began, self.project_scope).at
        for listed in models:
            hour_store = HourStore(transaction, self.name(listed), SETTLED_AFTER)
            if began:
                hour_store.begin(began)
            yield listed, hour_store

    def begin(self, transaction: Transaction) -> None:
        """Begin the history of all models, unless it has begun: Cloud Eye has answered about their use."""
        # One from beyond now was written under a clock that was ahead: it would keep hours from counting.
        if not 0 < transaction.get(Began, self.project_scope).at <= transaction.now_ms:
            transaction.put(self.project_scope, Began(transaction.now_ms))

    def first(self, transaction: Transaction) -> int:
        """Tell where the hours begin."""
        began = min(transaction.get(Began, self.project_scope).at or transaction.now_ms, transaction.now_ms)
        return max(floor_hour(began) - self.instance.backfill_days * DAY, oldest_hour(transaction.now_ms))

    def plan(self, models: ModelList, now_ms: int) -> Iterator[QueryTask]:
        """List what to ask in a cycle: the last hours, and what is left of each round."""
        named = {
            self.name(each): each
            for each in models.models
            if has_hours(each.metrics) and each.seen > now_ms - QUERIED_FOR
        }
        with write_transaction(self.store, now_ms) as transaction:
            known = {name for (name,) in transaction.run("SELECT name FROM series").fetchall()}
            new = [name for name in named if name not in known]
            list(self.hour_stores(transaction, [named[name] for name in new]))
            first = self.first(transaction)
            left = {rank: self._left(transaction, rank, named, new, now_ms) for rank in SWEEPS}
        present = {each.dimensions for each in models.present}
        there = [each for each in named.values() if each.dimensions in present]
        yield from self._round(DUE, there, RECENT_HOURS, first, now_ms)
        for rank, names in left.items():
            for gone in (False, True):  # apart: what is listed no more may be refused
                some = [named[name] for name in names if (named[name].dimensions not in present) == gone]
                yield from self._round(rank, some, SWEEPS[rank][0], first, now_ms, gone)

    def _left(
        self, transaction: Transaction, rank: int, named: Dict[str, ListedModel], new: Sequence[str], now_ms: int
    ) -> List[str]:
        at, every = f"{self.project_scope} {rank}", SWEEPS[rank][1]
        state = transaction.get(Round, at)
        if now_ms // every != state.began // every:
            state = Round(now_ms, list(named))
        else:
            state.left = [name for name in dict.fromkeys([*state.left, *new]) if name in named]
        transaction.put(at, state)
        return state.left

    def _round(
        self, rank: int, models: Sequence[ListedModel], hours: int, first: int, now_ms: int, gone: bool = False
    ) -> Iterator[QueryTask]:
        until = floor_hour(now_ms)
        start = max(first, until - hours * HOUR)
        if start >= until:
            return
        yield from self._plan_windows(rank, models, start, until, now_ms, {}, gone)

    def _plan_windows(
        self,
        rank: int,
        models: Sequence[ListedModel],
        start: int,
        until: int,
        now_ms: int,
        conflicts: Conflicts,
        gone: bool = False,
    ) -> Iterator[QueryTask]:
        for batch, metrics in pack_batches(models, most_metrics((until - start) // HOUR), HOURLY_METRICS):
            query = DataQuery(metrics, start, until, HOUR)
            on_answer, done = (
                partial(self._on_answer, rank, batch, query, now_ms, conflicts),
                partial(self._done, rank, batch, now_ms),
            )
            yield QueryTask((rank, FIRST), query, on_answer, done if gone else None)

    def _on_answer(
        self, rank: int, batch: Sequence[ListedModel], query: DataQuery, now_ms: int, conflicts: Conflicts, data: Data
    ) -> Sequence[QueryTask]:
        # Half of an hour would be a wrong hour: a model of which anything is not believed waits for the next answer.
        believed = [each for each in batch if each.dimensions not in data.doubted]
        self.warnings.extend(data.doubts)
        claimed: Dict[Tuple[Dimensions, int], Tuple[Values, ...]] = {}
        with write_transaction(self.store, now_ms) as transaction:
            self.begin(transaction)
            for listed, hour_store in self.hour_stores(transaction, believed):
                hours = dict(valid_hours(query, data, listed.dimensions))
                for at in _differing(hour_store, hours, query, now_ms):
                    before = conflicts.get((listed.dimensions, at), ())
                    if hours[at] not in before:
                        claimed[listed.dimensions, at] = (*before, hours.pop(at))
                hour_store.put_each(list(hours.items()))
        # A settled hour that is known changes only when two answers of one cycle agree.
        asked = {hour: values for hour, values in claimed.items() if len(values) < MAX_CONFLICTS}
        again = [each for each in believed if any(dimensions == each.dimensions for dimensions, _ in asked)]
        self._done(rank, [each for each in believed if each not in again], now_ms)
        starts = [at for _, at in asked]
        return list(self._plan_windows(rank, again, min(starts), max(starts) + HOUR, now_ms, asked)) if asked else []

    def _done(self, rank: int, models: Sequence[ListedModel], now_ms: int) -> None:
        """Strike models off the list of a round."""
        if rank not in SWEEPS:
            return
        done = {self.name(each) for each in models}
        with write_transaction(self.store, now_ms) as transaction:
            at = f"{self.project_scope} {rank}"
            state = transaction.get(Round, at)
            state.left = [name for name in state.left if name not in done]
            transaction.put(at, state)


def _differing(hour_store: HourStore, hours: Mapping[int, Values], query: DataQuery, now_ms: int) -> List[int]:
    """List the known hours of which an answer says something else; of those that may still grow, that nothing was."""
    final = settled_until(now_ms, SETTLED_AFTER)
    known = hour_store.known_values(query.start, query.until)
    return [
        at
        for at, values in hours.items()
        if known.get(at, values) != values and (at + HOUR <= final or not any(values))
    ]
