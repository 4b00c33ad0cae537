"""The models of one instance as a background source."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence, Tuple, Union

from ...cloud.cloud_eye import CloudEye
from ...cloud.json_body import bad_answer
from ...config import Instance
from ...errors import Problem, QueryError
from ...metrics import Point
from ...state import Store
from ..background_source import CycleEnd, Failure, PartialBatch, first_failure, state_problem
from ..hour_planner import Account
from ..query_task import QueryTask
from ..watermarks import Consumer
from .emit_models import emit_models, resolve_project_id
from .model_list import ModelList
from .model_planner import ModelPlanner, shorten, stored_list
from .sweep import ModelHourPlanner

Emitted = Tuple[List[Point], List[str]]
"""The points of hours, and prices that no model has."""


class ModelsSource:
    """Query the models of an instance and emit them to one consumer; see BackgroundSource."""

    def __init__(self, instance: Instance, store: Store, consumer: Consumer) -> None:
        self.api = CloudEye()
        self._instance = instance
        self._store = store
        self._consumer = consumer
        self._planner: Optional[ModelPlanner] = None

    def plan(self, account: Account, now_ms: int, answered: bool) -> Sequence[QueryTask]:
        """Plan the queries about models."""
        self._planner = ModelPlanner(self._instance, self._store, self._consumer, account.project_id, now_ms)
        return self._planner.plan()

    def finish(self, now_ms: int) -> Sequence[QueryError]:
        """Store which minutes the consumer has; return an error for each rejected value."""
        return [bad_answer(text) for text in self._planner.finish()] if self._planner else []

    def emit(self, end: CycleEnd) -> Emitted:
        """Read the changed hours or the counts."""
        project_id = ""
        if self._instance.hourly:
            project_id = resolve_project_id(self._store, self._consumer, end.account, end.now_ms)
        if not project_id:
            return [], []
        live = self._planner.live if self._planner else None
        models = stored_list(self._instance, self._store, project_id)
        hours = ModelHourPlanner(self._instance, self._store, project_id)
        tags = {**end.tags, "project_id": project_id}
        answered = live is not None and live.is_answered
        points = emit_models(hours, models, self._consumer, end.now_ms, tags, answered, end.commit)
        return points, list(self._unused_prices(models))

    def build(self, end: CycleEnd, emitted: Union[Emitted, Failure]) -> PartialBatch:
        """Build the points and problems of models."""
        # Taken once: in a cycle without a connection, the values of the cycle before would look new.
        where, planner, self._planner = self._instance.display_name, self._planner, None
        problems: List[Problem] = []
        answered = {f"{where} models", f"{where} prices"} if None in end.ends else set()
        if end.failures:
            text = first_failure(end.failures, "some values of models are missing")
            problems.append(Problem("W", f"{where}: Cloud Eye: {text}", f"{where} models"))
        points = list(planner.live.build_points(self._instance, end.tags)) if planner and planner.live else []
        failure = end.failure or (planner.failure if planner else None)
        if isinstance(emitted, tuple):
            points += emitted[0]
            problems += [Problem("W", f"{where}: {text}", f"{where} prices") for text in emitted[1]]
            answered.add(f"{where} models' state")
            if failure:
                problems.append(state_problem(where, "models' state", "Some hours of models were not queried", failure))
        else:
            missing = "Hours and counters of models are paused"
            problems.append(state_problem(where, "models' state", missing, emitted))
        problems += [Problem("W", f"{where}: {text}", "") for text in (planner.notices if planner else ())]
        is_partial = bool(failure) or not isinstance(emitted, tuple)
        return PartialBatch(points, {}, problems, is_partial, answered)

    def _unused_prices(self, models: ModelList) -> Iterator[str]:
        prices, names = self._instance.prices, self._instance.model_names
        known = {each.dimensions.api_id for each in models.models}
        known |= {names[api_id] for api_id in known if api_id in names}
        unused = sorted(prices.models.keys() - known) if prices and models.read else []
        if unused:
            yield f"prices.models: Cloud Eye names no model {shorten(unused)}: check the id, or its name in model_names"
