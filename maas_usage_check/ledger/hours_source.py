"""The hours of one instance as a background source."""

from __future__ import annotations

from typing import Dict, List, Sequence, Union

from ..cloud import Api
from ..config import Instance
from ..errors import Problem, QueryError
from ..metrics import Number
from ..state import Store
from .background_source import CycleEnd, Failure, PartialBatch, first_failure, state_problem
from .emit import Emitted, emit
from .hour_planner import Account, HourPlanner
from .query_task import QueryTask
from .watermarks import Consumer

NOT_BELIEVED = "hours and counts are paused and checked again in an hour; report it if it lasts"


class HoursSource:
    """Query the hours of an instance and emit them to one consumer; see BackgroundSource."""

    def __init__(self, instance: Instance, api: Api, store: Store, consumer: Consumer) -> None:
        self.api = api
        self._where = instance.display_name
        self._consumer = consumer
        self._planner = HourPlanner(instance, store)

    def plan(self, account: Account, now_ms: int, answered: bool) -> Sequence[QueryTask]:
        """Plan the queries about hours, of a cloud that answered those about ranges."""
        return self._planner.plan(account, now_ms) if answered else ()

    def finish(self, now_ms: int) -> Sequence[QueryError]:
        """Store which series were queried."""
        self._planner.record_queried(now_ms)
        return ()

    def emit(self, end: CycleEnd) -> Emitted:
        """Read the changed hours or the counts."""
        answered = end.answered or None in end.ends
        return emit(self._planner, self._consumer, end.account, end.now_ms, end.tags, answered, end.commit)

    def build(self, end: CycleEnd, emitted: Union[Emitted, Failure]) -> PartialBatch:
        """Build the points and problems of hours."""
        where = self._where
        problems: List[Problem] = []
        answered = {f"{where} hours"} if None in end.ends else set()
        if end.failures:
            text = first_failure(end.failures, "some hours were not queried")
            problems.append(Problem("W", f"{where}: {text}", f"{where} hours"))
        if not isinstance(emitted, Emitted):
            problems.append(state_problem(where, "hours' state", "Hours and counters are paused", emitted))
            return PartialBatch([], {}, problems, is_partial=True, answered=answered)
        if end.failure:
            problems.append(state_problem(where, "hours' state", "Some hours were not queried", end.failure))
        if emitted.failed:
            problems.append(Problem("W", f"{where}: {emitted.failed}; {NOT_BELIEVED}", f"{where} hours' sum"))
        problems += [Problem("I", f"{where}: {text}", text) for text in emitted.notices]
        health: Dict[str, Number] = {}
        if emitted.missing_hours is not None:
            health["missing_hours"] = emitted.missing_hours
        if emitted.newest_use_ms:
            health["newest_usage_timestamp_seconds"] = emitted.newest_use_ms // 1000
        is_partial = bool(emitted.failed) or end.failure is not None
        answered |= {f"{where} hours' state", f"{where} hours' sum"}
        return PartialBatch(emitted.points, health, problems, is_partial, answered)
