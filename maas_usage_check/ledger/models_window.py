"""Windows of hours of a project's models, for a command; see window.py."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from functools import partial
from typing import Dict, Iterator, List, Sequence, Tuple

from ..cloud.cloud_eye import CloudEye, MetricData
from ..config import Instance
from ..config.ranges import Window
from ..scheduling import Priority
from ..state import Store, UnusableError
from .hour_values import DAY, HOUR, floor_hour
from .known_usage import KnownUsage, Spans, hour_span, known_hours
from .model_list import HOURS_AVAILABLE, ListedModel, ListReader, ModelList, has_hours
from .planner import Account, QueryTask
from .sweep import ModelSweep
from .window import HoursWindow

LISTED_FOR = 3 * HOUR
"""Cloud Eye lists a model for so long after its last call (console manual)."""


class ModelsWindow(HoursWindow):
    """The hours of a project's models by id. Their series by key overlap them, so they are read apart.

    `by_key`: the hours of keys are completed too. For the other arguments see HoursWindow.
    """

    api = CloudEye()

    def __init__(
        self,
        instance: Instance,
        store: Store,
        account: Account,
        windows: Sequence[Window],
        now_ms: int,
        by_key: bool = False,
        unsettled: bool = False,
    ) -> None:
        super().__init__(instance, store, account, windows, now_ms, unsettled)
        self._by_key = by_key

    def read_key(self, listed: ListedModel, since_ms: int = 0) -> KnownUsage:
        """Return the known usage of one key of a model, since a time."""
        return self._read({listed.dimensions: self._sweep().series(listed)}, lambda _: None, since_ms)[0]

    def keys(self) -> List[ListedModel]:
        """List the keys that may have use in the windows."""
        return [each for each in self._listed() if each.dimensions.key_id]

    def _read_again(self) -> KnownUsage:
        """Return the known usage. What is too old to be queried has no use where no list had the model."""
        sweep, models = self._sweep(), self._list()
        listed = {each.dimensions.api_id: each for each in self._models()}
        series = {api_id: sweep.series(each) for api_id, each in listed.items()}
        found, began = self._read(series, sweep.began_ms)
        oldest, end = floor_hour(self._now_ms) - HOURS_AVAILABLE, max(each.end for each in self._windows)
        known = known_hours(found.spans.values(), oldest)
        for api_id, each in listed.items():
            unused = models.unused(each, began or 0)
            if unused and unused[0][1] >= end and not found.spans[api_id]:  # it appeared later
                del found.spans[api_id]
            else:
                found.add_unused(api_id, known, unused)
        return found._replace(listed_since_ms=(began or self._now_ms) - LISTED_FOR)

    def plan(self) -> Sequence[QueryTask]:
        """Return the queries for hours, or for the list where a model that was used in the windows may be missing."""
        models, end = self._list(), max(each.end for each in self._windows)
        is_queryable = end > floor_hour(self._now_ms) - HOURS_AVAILABLE or not models.read
        if models.is_due(self._now_ms) and models.read < end and is_queryable:
            reader = ListReader(self.stores[-1], self._sweep().scope, self._now_ms, self._after_list, self._plan_hours)
            return [reader.task()]
        return self._plan_hours()

    def _after_list(self, unknown: Sequence[str]) -> Sequence[QueryTask]:
        with self.stores[-1].entry(ModelList, self._sweep().scope) as models:
            models.unknown = [name for name in models.unknown if name not in unknown]  # a cycle names them
        return self._plan_hours()

    def _plan_hours(self) -> Sequence[QueryTask]:
        """Return the queries for the missing hours that Cloud Eye still keeps."""
        hours = self._hours_since(floor_hour(self._now_ms) - HOURS_AVAILABLE)
        windows: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed, known in self._known_hours():
            missing = [at for at in hours if hour_span(at) not in known]
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

    def _known_hours(self) -> Iterator[Tuple[ListedModel, Spans]]:
        """Yield each model that has hours, and with `by_key` each of its keys, with the known ones."""
        known, oldest = self.read().spans, floor_hour(self._now_ms) - HOURS_AVAILABLE
        for listed in self._models():
            if has_hours(listed.metrics):
                yield listed, known.get(listed.dimensions.api_id, {})
        for listed in self.keys() if self._by_key else ():  # one by one: they may be many
            if has_hours(listed.metrics):
                yield listed, self.read_key(listed, oldest).spans[listed.dimensions]

    def _recorded(self, task: QueryTask) -> QueryTask:
        return task._replace(on_answer=partial(self._on_answer, task))

    def _on_answer(self, task: QueryTask, data: MetricData) -> Sequence[QueryTask]:
        follow, query = task.on_answer(data), task.query
        models = {dimensions for dimensions, _ in query.metrics} - data.invalid
        hours = ((each, at) for each in models for at in range(query.start_ms, query.until_ms, HOUR))
        answered = [hour for hour in hours if hour not in data.invalid_hours]
        self.answered.update((each if each.key_id else each.api_id, at) for each, at in answered)
        return [self._recorded(each) for each in follow]

    def _sweep(self) -> ModelSweep:
        store, project_id = self.stores[-1], self.account.project_id
        return ModelSweep(self.api, self._instance, store, project_id, self._now_ms, self.warnings)

    def _list(self) -> ModelList:
        lists = [ModelList()]
        for store in self.stores:
            with contextlib.suppress(UnusableError), store.snapshot() as transaction:
                lists.append(transaction.get(ModelList, self._sweep().scope))
        return max(lists, key=lambda models: models.read)

    def _models(self) -> List[ListedModel]:
        return [each for each in self._listed() if not each.dimensions.key_id]

    def _listed(self) -> List[ListedModel]:
        """Return the models and keys that may have use in the windows, and those of the last days."""
        models, start = self._list(), min(each.start for each in self._windows)
        return [*models.models, *(each for each in models.past if each.seen > start - DAY)]
