"""A window of hours for a command: what the ledger knows of it, and the queries that complete it.

Answers are stored as those of a cycle are. No history begins with them and no watermark moves: no consumer loses or
counts anything because of a command.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property, partial
from itertools import groupby
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..cloud import Api, Statistics
from ..cloud.cloud_eye import CloudEye, Listing, ListQuery, MetricData
from ..cloud.cloud_eye.metric_list import Page, add_page
from ..cloud.statistics import TotalsAnswer
from ..cloud.usage import Usage
from ..config import Instance
from ..scheduling import Priority
from ..state import MissingError, Store, UnusableError
from . import bisect
from .bisect import PendingWindow
from .daily_check import DailyCheck
from .hour_planner import Account
from .hour_series import HourSeries, list_series, usage_values
from .hour_store import HourStore
from .hour_values import DAY, FIELDS, HOUR, MINUTE, floor_hour, oldest_hour, settled_until
from .models.minute_queries import COMPLETE_AFTER
from .models.model_list import ListedModel, ModelList, has_hours
from .models.model_planner import stored_list
from .models.sweep import SWEEPS, HistoryStart, ModelHourPlanner
from .query_task import QueryTask
from .schema import Transaction, read_transaction, write_transaction

MODEL_RETENTION = SWEEPS[Priority.BACKFILL][0] * HOUR
"""Cloud Eye keeps hours for so long."""
LISTED_FOR = 180 * MINUTE
"""Cloud Eye lists a model for so long after its last call (console manual)."""
NO_USE = Usage(0, 0, 0, 0, 0)

Hours = Dict[int, Usage]
"""Known hours by their start, in milliseconds since 1970."""


class KnownHours(NamedTuple):
    """The known hours of each series.

    `failed` says why none is believed. Of models, each that was called after `listed_since_ms` is here.
    """

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
        api: what its queries go to.
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

    def _read(self, series: Dict[Any, str], get: Callable[[Transaction], Any]) -> Tuple[Dict[Any, Hours], Any]:
        """Return the known hours of series by their names in the ledger, and the first entry that `get` finds."""
        found: Dict[Any, Hours] = {key: {} for key in series}
        entry = None
        for store in self.stores:
            try:
                with read_transaction(store, self._now_ms) as transaction:
                    entry = entry or get(transaction)
                    for key, name in series.items():
                        found[key].update(self._known(key, HourStore.find(transaction, name)))
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
        endpoint, account = self._instance.endpoint, self.account
        names = {key: each.series_name(endpoint, account.project_id) for key, each in self._series.items()}
        found, failed = self._read(names, lambda entries: entries.get(DailyCheck, account.access_key_digest).failed)
        return KnownHours({key: {} for key in found}, failed) if failed else KnownHours(found)

    def plan(self) -> Sequence[QueryTask]:
        """Return a query for each run of missing hours, the newest first. Settled hours and later ones are apart."""
        tasks: List[QueryTask] = []
        final = settled_until(self._now_ms)
        for key, known in self.read().hours.items():
            missing = [at for at in self._hours if at not in known]
            self.missing += len(missing)
            for _, run in groupby(enumerate(missing), lambda each: (each[1] - each[0] * HOUR, each[1] < final)):
                starts = [at for _, at in run]
                tasks.append(self._task(key, PendingWindow(starts[0], starts[-1] + HOUR, starts[0], None)))
        self.requests = max(len(tasks), self.missing * 6 // 5)
        return tasks

    @cached_property
    def _series(self) -> Dict[Any, HourSeries]:
        return {
            (each.service_type, each.infer_type, each.tags.get("api_key_label", "")): each
            for each in list_series(self._instance)
        }

    def _task(self, key: Any, window: PendingWindow) -> QueryTask:
        query = self._series[key].query(window.query_from, window.until)
        return QueryTask((Priority.BY_HAND, -window.until), query, partial(self._on_answer, key, window))

    def _on_answer(self, key: Any, window: PendingWindow, answer: TotalsAnswer) -> Sequence[QueryTask]:
        name = self._series[key].series_name(self._instance.endpoint, self.account.project_id)
        with write_transaction(self.stores[-1], self._now_ms) as transaction:
            follow = bisect.on_answer(HourStore(transaction, name), window, usage_values(answer.usage))
        pending = {at for each in follow for at in range(each.start, each.until, HOUR)}
        self.answered.update((key, at) for at in range(window.start, window.until, HOUR) if at not in pending)
        return [self._task(key, each) for each in follow]


class ModelsWindow(HoursWindow):
    """The hours of a project's models by id, without their series by key: the two overlap."""

    api = CloudEye()

    def read(self) -> KnownHours:
        """Return the known hours. One that is too old to be queried has no use where no list had the model."""
        models, planner = self._models(), self._planner()
        names = {each.dimensions.api_id: planner.series_name(each) for each in models}
        found, began = self._read(names, lambda entries: entries.get(HistoryStart, planner.project_scope).at)
        for listed in models if began else ():
            known = found[listed.dimensions.api_id]
            appeared = floor_hour(listed.appeared) - MODEL_RETENTION if began < listed.appeared else 0
            gone, oldest = listed.seen + DAY, floor_hour(self._now_ms) - MODEL_RETENTION
            unused = (at for at in self._hours if at < appeared or gone <= at < oldest)
            found[listed.dimensions.api_id] = {**dict.fromkeys(unused, NO_USE), **known}
        return KnownHours(found, "", (began or self._now_ms) - LISTED_FOR)

    def plan(self) -> Sequence[QueryTask]:
        """Return the queries for hours, or for the list where a model that was used in the window may be missing."""
        models = self._list()
        if models.is_due(self._now_ms) and models.read < self._hours[-1] + HOUR:
            return [self._page(ListQuery(), Listing())]
        return self._plan_hours()

    def _page(self, query: ListQuery, listing: Listing, is_second: bool = False) -> QueryTask:
        on_answer = partial(self._on_page, listing, is_second)
        return QueryTask((Priority.LIVE, 0), query, on_answer, fallback=self._plan_hours)

    def _on_page(self, listing: Listing, is_second: bool, page: Page) -> Sequence[QueryTask]:
        add_page(listing, page)
        if page.marker is not None:
            return [self._page(ListQuery(page.marker), listing, is_second)]
        with self.stores[-1].entry(ModelList, self._planner().project_scope) as models:
            if not is_second and models.is_incomplete(listing):  # one wrong list makes no model disappear
                listing.pages = 0
                return [self._page(ListQuery(), listing, is_second=True)]
            named = models.unknown
            models.update(listing, self._now_ms)
            models.unknown = named  # a cycle names unknown metrics
        return self._plan_hours()

    def _plan_hours(self) -> Sequence[QueryTask]:
        """Return the queries for the missing hours that Cloud Eye still keeps."""
        known, oldest = self.read().hours, floor_hour(self._now_ms) - MODEL_RETENTION
        windows: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed in (each for each in self._models() if has_hours(each.metrics)):
            missing = [at for at in self._hours if at >= oldest and at not in known[listed.dimensions.api_id]]
            self.missing += len(missing)
            if missing:
                windows[missing[0], missing[-1] + HOUR].append(listed)
        planned = (
            task
            for (start, until), batch in windows.items()
            for task in self._planner().plan_window(self._list(), batch, start, until, self._now_ms)
        )
        tasks = [self._recorded(task) for task in planned]
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

    def _planner(self) -> ModelHourPlanner:
        return ModelHourPlanner(self._instance, self.stores[-1], self.account.project_id, self.warnings)

    def _list(self) -> ModelList:
        lists = (stored_list(self._instance, store, self.account.project_id) for store in self.stores)
        return max(lists, key=lambda models: models.read)

    def _models(self) -> List[ListedModel]:
        return [each for each in self._list().models if not each.dimensions.key_id]


def kept_hours(start_ms: int, end_ms: int, now_ms: int, is_models: bool) -> Tuple[Sequence[int], Sequence[int]]:
    """Return the starts of the complete hours that begin in a window, and of those that can be known."""
    until = floor_hour(now_ms - COMPLETE_AFTER) if is_models else floor_hour(now_ms)
    first, end = -(-start_ms // HOUR) * HOUR, min(-(-end_ms // HOUR) * HOUR, until)
    return range(first, end, HOUR), range(max(first, oldest_hour(now_ms)), end, HOUR)
