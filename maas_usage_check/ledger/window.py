"""A window of hours for a command: its known hours, and the queries that complete it.

Answers are stored as those of a cycle are. No history begins with them and no watermark moves: no consumer loses or
counts anything because of a command.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property, partial
from itertools import groupby
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..cloud import Api, Statistics
from ..cloud.cloud_eye import CloudEye, MetricData
from ..cloud.source import HourSeries
from ..cloud.statistics import TotalsAnswer
from ..cloud.usage import Usage
from ..config import Instance
from ..scheduling import Priority
from ..state import MissingError, Store, UnusableError
from . import bisect
from .bisect import PendingWindow
from .daily_check import DailyCheck
from .hour_store import HourStore
from .hour_values import DAY, FIELDS, HOUR, floor_hour, oldest_hour, usage_values
from .live_minutes import COMPLETE_AFTER
from .model_list import HOURS_AVAILABLE, ListedModel, ListReader, ModelList, has_hours
from .planner import Account, QueryTask
from .schema import Transaction, read_transaction, write_transaction
from .sweep import HistoryStart, ModelSweep

LISTED_FOR = 3 * HOUR
"""Cloud Eye lists a model for so long after its last call (console manual)."""
NO_USE = Usage(0, 0, 0, 0, 0)

Hours = Dict[int, Usage]
"""Known hours by their start, in milliseconds since 1970."""


class KnownHours(NamedTuple):
    """The known hours of each series, and why none is believed. All models called after `listed_since_ms` are here."""

    hours: Dict[Any, Hours]
    failed: str = ""
    listed_since_ms: int = 0

    def tokens(self, hours: Sequence[int]) -> Dict[int, int]:
        """Add up the tokens of all series, by hour; only hours that are known of every series."""
        series = list(self.hours.values())
        common = [at for at in hours if series and all(at in known for known in series)]
        return {at: sum(known[at].total_tokens for known in series) for at in common}


class HoursWindow:
    """The hours of some series; its two kinds say what the series are, and how missing hours are queried.

    Args:
        instance: whose series.
        store: the ledger's.
        account: whose usage it is.
        hours: their starts in ascending order, milliseconds since 1970.
        now_ms: milliseconds since 1970.

    Attributes:
        stores: of the ledger; answers are stored in the last one.
        missing: how many hours of all series are queried, in about so many `requests`.
        answered: the series and hours that were answered since.
        unusable: why the ledger could not be read; None also while there is none.
        warnings: about rejected values, a line each.
    """

    api: Api

    def __init__(self, instance: Instance, store: Store, account: Account, hours: Sequence[int], now_ms: int) -> None:
        self.stores = [store]
        self.account = account
        self.missing = self.requests = 0
        self.answered: Set[Tuple[Any, int]] = set()
        self.unusable: Optional[UnusableError] = None
        self.warnings: List[str] = []
        self._instance = instance
        self._hours = hours
        self._now_ms = now_ms

    def read(self) -> KnownHours:
        """Return the hours that are final or were answered since; an unusable ledger has none."""
        raise NotImplementedError

    def plan(self) -> Sequence[QueryTask]:
        """Return the queries for the other hours; more follow from their answers."""
        raise NotImplementedError

    def _read(self, series: Dict[Any, HourSeries], get: Callable[[Transaction], Any]) -> Tuple[Dict[Any, Hours], Any]:
        """Return the known hours of series, and the first entry that `get` finds."""
        found: Dict[Any, Hours] = {key: {} for key in series}
        entry = None
        for store in self.stores:
            try:
                with read_transaction(store, self._now_ms) as transaction:
                    entry = entry or get(transaction)
                    for key, each in series.items():
                        hour_store = HourStore.find(transaction, each.name, each.settled_after_ms)
                        found[key].update(self._known(key, hour_store))
            except MissingError:
                continue
            except UnusableError as error:
                self.unusable = error
        return found, entry

    def _known(self, key: Any, hour_store: Optional[HourStore]) -> Iterator[Tuple[int, Usage]]:
        for each in hour_store.hours(self._hours[0], self._hours[-1] + HOUR, changed_since=0) if hour_store else ():
            if each.settled or (key, each.start) in self.answered:
                yield each.start, Usage(**dict(zip(FIELDS, each.values)))


class StatisticsWindow(HoursWindow):
    """The hours of an instance by (service type, inference type, tag of the label, "" for all); see list_series."""

    api = Statistics()

    def read(self) -> KnownHours:
        """Return the known hours; none while the hours of the access key do not add up to their day."""
        digest = self.account.access_key_digest
        found, failed = self._read(self._series, lambda entries: entries.get(DailyCheck, digest).failed)
        return KnownHours({key: {} for key in found}, failed) if failed else KnownHours(found)

    def plan(self) -> Sequence[QueryTask]:
        """Return a query for each run of missing hours, the newest first. Settled hours and later ones are apart."""
        tasks: List[QueryTask] = []
        known = self.read()
        final = min(floor_hour(self._now_ms - each.settled_after_ms) for each in self._series.values())
        for key, hours in known.hours.items() if not known.failed else ():
            missing = [at for at in self._hours if at not in hours]
            self.missing += len(missing)
            for _, run in groupby(enumerate(missing), lambda each: (each[1] - each[0] * HOUR, each[1] < final)):
                starts = [at for _, at in run]
                tasks.append(self._task(key, PendingWindow(starts[0], starts[-1] + HOUR, starts[0], None)))
        self.requests = max(len(tasks), self.missing * 6 // 5)
        return tasks

    @cached_property
    def _series(self) -> Dict[Any, HourSeries]:
        # First read once the account is known: the names depend on it.
        return {
            (each.subject.service_type, each.subject.infer_type, each.tags.get("api_key_label", "")): each
            for each in self.api.hour_series(self._instance, self.account.project_id)
        }

    def _task(self, key: Any, window: PendingWindow) -> QueryTask:
        query = self.api.hours_query(self._series[key], window.query_from, window.until)
        return QueryTask((Priority.BY_HAND, -window.until), query, partial(self._on_answer, key, window))

    def _on_answer(self, key: Any, window: PendingWindow, answer: TotalsAnswer) -> Sequence[QueryTask]:
        series = self._series[key]
        with write_transaction(self.stores[-1], self._now_ms) as transaction:
            hour_store = HourStore(transaction, series.name, series.settled_after_ms)
            follow = bisect.on_answer(hour_store, window, usage_values(answer.usage))
        pending = {at for each in follow for at in range(each.start, each.until, HOUR)}
        self.answered.update((key, at) for at in range(window.start, window.until, HOUR) if at not in pending)
        return [self._task(key, each) for each in follow]


class ModelsWindow(HoursWindow):
    """The hours of a project's models by id, without their series by key: the two overlap."""

    api = CloudEye()

    def read(self) -> KnownHours:
        """Return the known hours. One that is too old to be queried has no use where no list had the model."""
        models, sweep = self._models(), self._sweep()
        series = {each.dimensions.api_id: sweep.series(each) for each in models}
        found, began = self._read(series, lambda entries: entries.get(HistoryStart, sweep.scope).at)
        oldest = floor_hour(self._now_ms) - HOURS_AVAILABLE
        for listed in models:
            known, unused = found[listed.dimensions.api_id], listed.unused(began or 0, self._list().read)
            hours = (at for at in self._hours if any(start <= at < min(end, oldest) for start, end in unused))
            found[listed.dimensions.api_id] = {**dict.fromkeys(hours, NO_USE), **known}
        return KnownHours(found, "", (began or self._now_ms) - LISTED_FOR)

    def plan(self) -> Sequence[QueryTask]:
        """Return the queries for hours, or for the list where a model that was used in the window may be missing."""
        models = self._list()
        if models.is_due(self._now_ms) and models.read < self._hours[-1] + HOUR:
            reader = ListReader(self.stores[-1], self._sweep().scope, self._now_ms, self._after_list, self._plan_hours)
            return [reader.task()]
        return self._plan_hours()

    def _after_list(self, unknown: Sequence[str]) -> Sequence[QueryTask]:
        with self.stores[-1].entry(ModelList, self._sweep().scope) as models:
            models.unknown = [name for name in models.unknown if name not in unknown]  # a cycle names them
        return self._plan_hours()

    def _plan_hours(self) -> Sequence[QueryTask]:
        """Return the queries for the missing hours that Cloud Eye still keeps."""
        known, oldest = self.read().hours, floor_hour(self._now_ms) - HOURS_AVAILABLE
        windows: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed in (each for each in self._models() if has_hours(each.metrics)):
            missing = [at for at in self._hours if at >= oldest and at not in known[listed.dimensions.api_id]]
            self.missing += len(missing)
            if missing:
                windows[missing[0], missing[-1] + HOUR].append(listed)
        present = {each.dimensions for each in self._list().present}
        tasks: List[QueryTask] = []
        for (start, until), batch in windows.items():
            for gone in (False, True):  # apart: a query with a model that is no longer listed may be rejected
                own = [each for each in batch if (each.dimensions not in present) == gone]
                tasks += map(self._recorded, self._sweep().plan_window(Priority.BY_HAND, own, start, until, gone))
        self.requests = len(tasks)
        return tasks

    def _recorded(self, task: QueryTask) -> QueryTask:
        return task._replace(on_answer=partial(self._on_answer, task))

    def _on_answer(self, task: QueryTask, data: MetricData) -> Sequence[QueryTask]:
        follow, query = task.on_answer(data), task.query
        models = {dimensions for dimensions, _ in query.metrics} - data.invalid
        hours = ((each, at) for each in models for at in range(query.start_ms, query.until_ms, HOUR))
        self.answered.update((hour[0].api_id, hour[1]) for hour in hours if hour not in data.invalid_hours)
        return [self._recorded(each) for each in follow]

    def _sweep(self) -> ModelSweep:
        store, project_id = self.stores[-1], self.account.project_id
        return ModelSweep(self.api, self._instance, store, project_id, self._now_ms, self.warnings)

    def _list(self) -> ModelList:
        lists: List[ModelList] = []
        for store in self.stores:
            with store.entry(ModelList, self._sweep().scope) as models:
                lists.append(models)
        return max(lists, key=lambda models: models.read)

    def _models(self) -> List[ListedModel]:
        """Return the models that may have use in the window, and those of the last days."""
        models, since_ms = self._list(), self._hours[0] - DAY
        past = (each for each in models.past if each.seen > since_ms)
        return [each for each in (*models.models, *past) if not each.dimensions.key_id]


def kept_hours(start_ms: int, end_ms: int, now_ms: int, is_models: bool) -> Tuple[Sequence[int], Sequence[int]]:
    """Return the starts of the complete hours that begin in a window, and of those that can be known."""
    until = floor_hour(now_ms - COMPLETE_AFTER) if is_models else floor_hour(now_ms)
    first, end = -(-start_ms // HOUR) * HOUR, min(-(-end_ms // HOUR) * HOUR, until)
    return range(first, end, HOUR), range(max(first, oldest_hour(now_ms)), end, HOUR)
