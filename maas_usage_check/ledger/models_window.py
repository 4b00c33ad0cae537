"""Windows of hours of a project's models, for a command; see window.py."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Dict, List, Sequence, Tuple

from ..cloud.cloud_eye import CloudEye, MetricData
from ..scheduling import Priority
from .hour_values import DAY, HOUR, floor_hour
from .known_usage import KnownUsage, hour_span, known_hours
from .model_list import HOURS_AVAILABLE, ListedModel, ListReader, ModelList, has_hours
from .planner import QueryTask
from .sweep import ModelSweep
from .window import HoursWindow

LISTED_FOR = 3 * HOUR
"""Cloud Eye lists a model for so long after its last call (console manual)."""


class ModelsWindow(HoursWindow):
    """The hours of a project's models by id, without their series by key: the two overlap."""

    api = CloudEye()

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
        known, hours = self.read().spans, self._hours_since(floor_hour(self._now_ms) - HOURS_AVAILABLE)
        windows: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed in (each for each in self._models() if has_hours(each.metrics)):
            missing = [at for at in hours if hour_span(at) not in known.get(listed.dimensions.api_id, ())]
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
        """Return the models that may have use in the windows, and those of the last days."""
        models, start = self._list(), min(each.start for each in self._windows)
        past = (each for each in models.past if each.seen > start - DAY)
        return [each for each in (*models.models, *past) if not each.dimensions.key_id]
