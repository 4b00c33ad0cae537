"""The hours of a source that answers all hours of many series at once, such as Cloud Eye: what to query, and when."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from ..cloud.cloud_eye import CloudEye, DataQuery, Dimensions, MetricData
from ..cloud.source import HourSeries
from ..config import Instance
from ..scheduling import Priority
from ..state import Store
from .hour_store import HourStore
from .hour_values import DAY, HOUR, MAX_CONFLICTS, Values, floor_hour, oldest_hour, usage_values
from .model_list import HOURS_AVAILABLE, QUERIED_FOR, ListedModel, ModelList
from .planner import QueryTask
from .schema import Transaction, write_transaction

BEFORE_OTHERS = -(2**62)
"""Of one priority, hours of models go first: one request brings the hours of many models."""
RECENT_HOURS = 3
"""The last hours, queried in each cycle."""
SWEEPS = {Priority.REPAIR: (26, HOUR), Priority.BACKFILL: (HOURS_AVAILABLE // HOUR, DAY)}
"""By priority: hours of a sweep, and its interval."""
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


class ModelSweep(Struct, frozen=True):
    """Plan the queries about the hours of a project's models in one cycle, and store the answers.

    `warnings` name the values that were rejected as implausible. Methods raise UnusableError if the state cannot be
    written.
    """

    source: CloudEye
    instance: Instance
    store: Store
    project_id: str
    now_ms: int
    warnings: List[str] = []

    @property
    def scope(self) -> str:
        """Return the name of the project in stored entries."""
        return f"{self.instance.cloud_eye_endpoint} {self.project_id}"

    def series(self, listed: ListedModel) -> HourSeries:
        """Describe the hours of a model."""
        return self.source.hour_series(self.instance, self.project_id, listed.dimensions)

    def hour_stores(
        self, transaction: Transaction, models: Sequence[ListedModel]
    ) -> Iterator[Tuple[ListedModel, HourSeries, HourStore]]:
        """Yield models with their stored hours. The history of a new one begins with that of all."""
        began = self.began_ms(transaction)
        for listed in models:
            series = self.series(listed)
            hour_store = HourStore(transaction, series.name, series.settled_after_ms)
            if began:
                hour_store.begin(began)
            yield listed, series, hour_store

    def begin(self, transaction: Transaction) -> None:
        """Begin the history of all models, unless it has begun. Call it after an answer about their use."""
        # A history that began in the future, by a wrong clock, would not count.
        if not 0 < self.began_ms(transaction) <= self.now_ms:
            transaction.put(self.scope, HistoryStart(self.now_ms))

    def began_ms(self, transaction: Transaction) -> int:
        """Return when the history of all models began, in milliseconds; 0 before that."""
        return transaction.get(HistoryStart, self.scope).at

    def first_hour(self, transaction: Transaction) -> int:
        """Return the first hour of this instance, in milliseconds."""
        began = min(self.began_ms(transaction) or self.now_ms, self.now_ms)
        return max(floor_hour(began) - self.instance.backfill_days * DAY, oldest_hour(self.now_ms))

    def plan(self, models: ModelList) -> Iterator[QueryTask]:
        """Yield the query tasks of a cycle: the last hours of all models, and the rest of each sweep."""
        recent = models.with_hours(self.now_ms - QUERIED_FOR)
        named = {self.series(each).name: each for each in recent}
        with write_transaction(self.store, self.now_ms) as transaction:
            known = {name for (name,) in transaction.select("SELECT name FROM series WHERE began > 0")}
            new = [name for name in named if name not in known]
            list(self.hour_stores(transaction, [named[name] for name in new]))
            first = self.first_hour(transaction)
            remaining = {priority: self._remaining(transaction, priority, list(named), new) for priority in SWEEPS}
        present = {each.dimensions for each in models.present}
        listed = [each for each in named.values() if each.dimensions in present]
        yield from self._plan_last(Priority.RECENT, listed, RECENT_HOURS, first)
        for priority, names in remaining.items():
            for gone in (False, True):  # apart: a query with a model that is no longer listed may be rejected
                batch = [named[name] for name in names if (named[name].dimensions not in present) == gone]
                yield from self._plan_last(priority, batch, SWEEPS[priority][0], first, gone)

    def _remaining(
        self, transaction: Transaction, priority: Priority, names: Sequence[str], new: Sequence[str]
    ) -> List[str]:
        """Return the series that a sweep has still to query; begin the next sweep once its interval has passed."""
        interval, sweep = SWEEPS[priority][1], transaction.get(Sweep, self._sweep_name(priority))
        if self.now_ms // interval != sweep.began // interval:
            sweep = Sweep(self.now_ms, list(names))
        else:
            sweep.left = [name for name in dict.fromkeys([*sweep.left, *new]) if name in names]
        transaction.put(self._sweep_name(priority), sweep)
        return sweep.left

    def _sweep_name(self, priority: Priority) -> str:
        return f"{self.scope} {STORED_AS[priority]}"

    def _plan_last(
        self, priority: Priority, models: Sequence[ListedModel], hours: int, first: int, gone: bool = False
    ) -> Iterator[QueryTask]:
        until = floor_hour(self.now_ms)
        start = max(first, until - hours * HOUR)
        return self.plan_window(priority, models, start, until, gone) if start < until else iter(())

    def plan_window(
        self,
        priority: Priority,
        models: Sequence[ListedModel],
        start: int,
        until: int,
        gone: bool = False,
        conflicts: Optional[Conflicts] = None,
    ) -> Iterator[QueryTask]:
        """Yield the query tasks of a window of full hours.

        Args:
            priority: of the queries.
            models: to query.
            start: of the first hour, milliseconds since 1970.
            until: the end of the last hour.
            gone: the models are no longer listed, so the cloud may reject the query.
            conflicts: see Conflicts.
        """
        for query, batch in self.source.data_queries(models, start, until, HOUR):
            on_answer = partial(self._on_answer, priority, batch, query, conflicts or {})
            on_rejected = partial(self._mark_queried, priority, batch) if gone else None
            yield QueryTask((priority, BEFORE_OTHERS), query, on_answer, on_rejected)

    def _on_answer(
        self,
        priority: Priority,
        batch: Sequence[ListedModel],
        query: DataQuery,
        conflicts: Conflicts,
        data: MetricData,
    ) -> Sequence[QueryTask]:
        # An incomplete hour would be a wrong hour: a model with a rejected value waits for the next answer.
        valid = [each for each in batch if each.dimensions not in data.invalid]
        self.warnings.extend(data.warnings)
        contradicting: Dict[Tuple[Dimensions, int], Tuple[Values, ...]] = {}
        with write_transaction(self.store, self.now_ms) as transaction:
            if priority != Priority.BY_HAND:  # no history begins with a command
                self.begin(transaction)
            for listed, _, hour_store in self.hour_stores(transaction, valid):
                answers = self.source.valid_hours(query, data, listed.dimensions)
                hours = {at: usage_values(usage) for at, usage in answers.items()}
                for at in _contradicted(hour_store, hours, query):
                    before = conflicts.get((listed.dimensions, at), ())
                    if hours[at] not in before:
                        contradicting[listed.dimensions, at] = (*before, hours.pop(at))
                hour_store.put_each(list(hours.items()))
        # A known settled hour changes only if two answers of one cycle agree.
        unconfirmed = {hour: values for hour, values in contradicting.items() if len(values) < MAX_CONFLICTS}
        again = [each for each in valid if any(dimensions == each.dimensions for dimensions, _ in unconfirmed)]
        self._mark_queried(priority, [each for each in valid if each not in again])
        if not unconfirmed:
            return []
        starts = [at for _, at in unconfirmed]
        return list(self.plan_window(priority, again, min(starts), max(starts) + HOUR, conflicts=unconfirmed))

    def _mark_queried(self, priority: Priority, models: Sequence[ListedModel]) -> None:
        """Remove models from the rest of a sweep."""
        if priority not in SWEEPS:
            return
        queried = {self.series(each).name for each in models}
        with write_transaction(self.store, self.now_ms) as transaction:
            sweep = transaction.get(Sweep, self._sweep_name(priority))
            sweep.left = [name for name in sweep.left if name not in queried]
            transaction.put(self._sweep_name(priority), sweep)


def _contradicted(hour_store: HourStore, hours: Mapping[int, Values], query: DataQuery) -> List[int]:
    """List the known hours that an answer contradicts. An unsettled hour may grow: only zero contradicts it."""
    known = hour_store.known_values(query.start_ms, query.until_ms)
    return [
        at
        for at, values in hours.items()
        if known.get(at, values) != values and (at + HOUR <= hour_store.settled_until or not any(values))
    ]
