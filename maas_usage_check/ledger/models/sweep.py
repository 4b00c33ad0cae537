"""The hours of models in the ledger: a cycle's query tasks, and the storage of their answers."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Dict, Iterator, List, Mapping, Sequence, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, DataQuery, Dimensions, MetricData
from ...cloud.cloud_eye.metric_data import max_metrics_per_query
from ...config import Instance
from ...scheduling import Priority
from ...state import Store
from ..hour_store import HourStore
from ..hour_values import DAY, HOUR, MAX_CONFLICTS, Values, floor_hour, oldest_hour, settled_until
from ..query_task import QueryTask
from ..schema import Transaction, write_transaction
from .model_list import QUERIED_FOR, ListedModel, ModelList, has_hours
from .model_series import SETTLED_AFTER, model_series_name, pack_batches, valid_hours

BEFORE_OTHERS = -(2**62)
"""Of one priority, hours of models go first: one request brings the hours of many models."""
RECENT_HOURS = 3
"""The last hours, queried in each cycle."""
SWEEPS = {Priority.REPAIR: (26, HOUR), Priority.BACKFILL: (239, DAY)}
"""By priority: hours of a sweep, and its interval. Cloud Eye keeps 10 days, and silently moves up an earlier start."""
STORED_AS = {Priority.REPAIR: 3, Priority.BACKFILL: 5}
"""The number of each sweep in the state."""

Conflicts = Mapping[Tuple[Dimensions, int], Tuple[Values, ...]]
"""By model and hour, this cycle's answers that contradict a known hour."""


class HistoryStart(Struct, omit_defaults=True):
    """When the history of a project's models began, in milliseconds. No model counts earlier use."""

    stored_kind: ClassVar[str] = "Began"

    at: int = 0


class Sweep(Struct, omit_defaults=True):
    """When a sweep began, in milliseconds, and the series names of the models that it has not yet queried."""

    stored_kind: ClassVar[str] = "Round"

    began: int = 0
    left: List[str] = []


class ModelHourPlanner(Struct, frozen=True):
    """Plan the queries about the hours of a project's models, and store the answers.

    `warnings` name the values that were rejected as implausible. Methods raise UnusableError if the state cannot be
    written.
    """

    instance: Instance
    store: Store
    project_id: str
    warnings: List[str] = []

    @property
    def project_scope(self) -> str:
        """Return the name of the project in stored entries."""
        return f"{self.instance.cloud_eye_endpoint} {self.project_id}"

    def series_name(self, listed: ListedModel) -> str:
        """Return the series name of a model."""
        return model_series_name(self.instance.cloud_eye_endpoint, self.project_id, listed.dimensions)

    def hour_stores(
        self, transaction: Transaction, models: Sequence[ListedModel]
    ) -> Iterator[Tuple[ListedModel, HourStore]]:
        """Yield models with their stored hours. The history of a new one begins with that of all."""
        began = transaction.get(HistoryStart, self.project_scope).at
        for listed in models:
            hour_store = HourStore(transaction, self.series_name(listed), SETTLED_AFTER)
            if began:
                hour_store.begin(began)
            yield listed, hour_store

    def begin(self, transaction: Transaction) -> None:
        """Begin the history of all models, unless it has begun. Call it after an answer about their use."""
        # A history that began in the future, by a wrong clock, would not count.
        if not 0 < transaction.get(HistoryStart, self.project_scope).at <= transaction.now_ms:
            transaction.put(self.project_scope, HistoryStart(transaction.now_ms))

    def first_hour(self, transaction: Transaction) -> int:
        """Return the first hour of this instance, in milliseconds."""
        began = min(transaction.get(HistoryStart, self.project_scope).at or transaction.now_ms, transaction.now_ms)
        return max(floor_hour(began) - self.instance.backfill_days * DAY, oldest_hour(transaction.now_ms))

    def plan(self, models: ModelList, now_ms: int) -> Iterator[QueryTask]:
        """Yield the query tasks of a cycle: the last hours of all models, and the rest of each sweep."""
        named = {
            self.series_name(each): each
            for each in models.models
            if has_hours(each.metrics) and each.seen > now_ms - QUERIED_FOR
        }
        with write_transaction(self.store, now_ms) as transaction:
            known = {name for (name,) in transaction.run("SELECT name FROM series").fetchall()}
            new = [name for name in named if name not in known]
            list(self.hour_stores(transaction, [named[name] for name in new]))
            first = self.first_hour(transaction)
            remaining = {priority: self._remaining(transaction, priority, named, new, now_ms) for priority in SWEEPS}
        present = {each.dimensions for each in models.present}
        listed = [each for each in named.values() if each.dimensions in present]
        yield from self._plan_hours(Priority.RECENT, listed, RECENT_HOURS, first, now_ms)
        for priority, names in remaining.items():
            for gone in (False, True):  # apart: a query with a model that is no longer listed may be rejected
                batch = [named[name] for name in names if (named[name].dimensions not in present) == gone]
                yield from self._plan_hours(priority, batch, SWEEPS[priority][0], first, now_ms, gone)

    def _remaining(
        self,
        transaction: Transaction,
        priority: Priority,
        named: Dict[str, ListedModel],
        new: Sequence[str],
        now_ms: int,
    ) -> List[str]:
        entry_name, interval = f"{self.project_scope} {STORED_AS[priority]}", SWEEPS[priority][1]
        sweep = transaction.get(Sweep, entry_name)
        if now_ms // interval != sweep.began // interval:
            sweep = Sweep(now_ms, list(named))
        else:
            sweep.left = [name for name in dict.fromkeys([*sweep.left, *new]) if name in named]
        transaction.put(entry_name, sweep)
        return sweep.left

    def _plan_hours(
        self, priority: Priority, models: Sequence[ListedModel], hours: int, first: int, now_ms: int, gone: bool = False
    ) -> Iterator[QueryTask]:
        until = floor_hour(now_ms)
        start = max(first, until - hours * HOUR)
        if start >= until:
            return
        yield from self._plan_window(priority, models, start, until, now_ms, {}, gone)

    def _plan_window(
        self,
        priority: Priority,
        models: Sequence[ListedModel],
        start: int,
        until: int,
        now_ms: int,
        conflicts: Conflicts,
        gone: bool = False,
    ) -> Iterator[QueryTask]:
        for batch, metrics in pack_batches(models, max_metrics_per_query((until - start) // HOUR), HOURLY_METRICS):
            query = DataQuery(metrics, start, until, HOUR)
            on_answer = partial(self._on_answer, priority, batch, query, now_ms, conflicts)
            on_rejected = partial(self._mark_queried, priority, batch, now_ms) if gone else None
            yield QueryTask((priority, BEFORE_OTHERS), query, on_answer, on_rejected)

    def _on_answer(
        self,
        priority: Priority,
        batch: Sequence[ListedModel],
        query: DataQuery,
        now_ms: int,
        conflicts: Conflicts,
        data: MetricData,
    ) -> Sequence[QueryTask]:
        # An incomplete hour would be a wrong hour: a model with a rejected value waits for the next answer.
        valid = [each for each in batch if each.dimensions not in data.invalid]
        self.warnings.extend(data.warnings)
        contradicting: Dict[Tuple[Dimensions, int], Tuple[Values, ...]] = {}
        with write_transaction(self.store, now_ms) as transaction:
            self.begin(transaction)
            for listed, hour_store in self.hour_stores(transaction, valid):
                hours = dict(valid_hours(query, data, listed.dimensions))
                for at in _contradicted(hour_store, hours, query, now_ms):
                    before = conflicts.get((listed.dimensions, at), ())
                    if hours[at] not in before:
                        contradicting[listed.dimensions, at] = (*before, hours.pop(at))
                hour_store.put_each(list(hours.items()))
        # A known settled hour changes only if two answers of one cycle agree.
        unconfirmed = {hour: values for hour, values in contradicting.items() if len(values) < MAX_CONFLICTS}
        again = [each for each in valid if any(dimensions == each.dimensions for dimensions, _ in unconfirmed)]
        self._mark_queried(priority, [each for each in valid if each not in again], now_ms)
        if not unconfirmed:
            return []
        starts = [at for _, at in unconfirmed]
        return list(self._plan_window(priority, again, min(starts), max(starts) + HOUR, now_ms, unconfirmed))

    def _mark_queried(self, priority: Priority, models: Sequence[ListedModel], now_ms: int) -> None:
        """Remove models from the rest of a sweep."""
        if priority not in SWEEPS:
            return
        queried = {self.series_name(each) for each in models}
        with write_transaction(self.store, now_ms) as transaction:
            entry_name = f"{self.project_scope} {STORED_AS[priority]}"
            sweep = transaction.get(Sweep, entry_name)
            sweep.left = [name for name in sweep.left if name not in queried]
            transaction.put(entry_name, sweep)


def _contradicted(hour_store: HourStore, hours: Mapping[int, Values], query: DataQuery, now_ms: int) -> List[int]:
    """List the known hours that an answer contradicts. An unsettled hour may grow: only zero contradicts it."""
    final = settled_until(now_ms, SETTLED_AFTER)
    known = hour_store.known_values(query.start_ms, query.until_ms)
    return [
        at
        for at, values in hours.items()
        if known.get(at, values) != values and (at + HOUR <= final or not any(values))
    ]
