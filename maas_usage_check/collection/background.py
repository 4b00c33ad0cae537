"""The queries of a cycle after its ranges, such as hours and models, which the ledger keeps."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set

from ..cloud import as_query_error
from ..cloud.json_body import bad_answer
from ..cloud.outcomes import API, Outcome, effect_of
from ..errors import QueryError, Result
from ..ledger import Account, CycleEnd, Failure, PartialBatch, Planner, QueryTask, build, emit
from ..scheduling import Request
from ..state import UnusableError
from .session import Session


class BackgroundQueries:
    """The queries of one planner in one cycle: `plan`, `end`, `emit`, `build`."""

    def __init__(self, planner: Planner, session: Session, now_ms: int) -> None:
        self._planner = planner
        self._session = session
        self._now_ms = now_ms
        self._ends: List[Optional[QueryError]] = []
        self._failure: Optional[UnusableError] = None
        self._emitted: Any = None
        self._open_live: Set[QueryTask] = set()
        self._stopped_by: Optional[QueryError] = None

    def plan(self, answered: bool) -> List[Request]:
        """Make the requests of the planned queries."""
        return self._requests(lambda: self._planner.plan(self._account, answered))

    def end(self, tags: Dict[str, str], answered: bool, commit: Callable[[], bool]) -> CycleEnd:
        """Make the CycleEnd of the planner. A query left for a later cycle is no failure, unless it is live."""
        self._ends += [self._stopped_by or self._session.unanswered(task.query) for task in list(self._open_live)]
        return CycleEnd(self._account, self._now_ms, tags, answered, self._ends, self._failure, commit)

    def emit(self, end: CycleEnd) -> None:
        """Store the answers, and emit from the ledger."""
        collector = self._session.collector
        assert collector.consumer is not None
        try:
            self._ends += map(bad_answer, self._planner.finish())
            self._emitted = emit(self._planner, collector.schedulers.store, collector.consumer, end)
        except Exception as error:
            self._emitted = error if isinstance(error, UnusableError) else as_query_error(error)

    def build(self, end: CycleEnd, late: Failure) -> PartialBatch:
        """Build points and problems; `late` is why nothing was emitted in time."""
        where = self._session.collector.instance.display_name
        return build(self._planner, where, end, late if self._emitted is None else self._emitted)

    @property
    def _account(self) -> Account:
        return Account(self._session.project_id, self._session.key_name)

    def _requests(self, plan: Callable[[], Iterable[QueryTask]]) -> List[Request]:
        """Make the requests of what `plan` returns; an error of it is recorded."""
        try:
            tasks = list(plan())
            self._open_live.update(task for task in tasks if task.is_live)
            return [
                self._session.request(
                    self._planner.source,
                    task.query,
                    partial(self._on_end, task),
                    task.priority,
                    is_dropped=lambda: self._stopped_by is not None,
                )
                for task in tasks
            ]
        except UnusableError as error:
            self._failure = error
            self._stopped_by = self._stopped_by or QueryError(Result.INTERNAL, str(error), is_consequence=True)
        except Exception as error:
            self._ends.append(as_query_error(error))
        return []

    def _on_end(self, task: QueryTask, outcome: Outcome) -> List[Request]:
        if self._session.drops(outcome):
            return []
        self._open_live.discard(task)
        if isinstance(outcome, QueryError):
            return self._requests(partial(self._on_failure, task, outcome))
        return self._requests(partial(self._on_answer, task, outcome))

    def _on_answer(self, task: QueryTask, answer: Any) -> Sequence[QueryTask]:
        follow_ups = task.on_answer(answer)
        self._ends.append(None)
        return follow_ups

    def _on_failure(self, task: QueryTask, failure: QueryError) -> Sequence[QueryTask]:
        if failure.result == Result.REQUEST_REJECTED and task.on_rejected is not None:
            task.on_rejected()
            return ()
        effect = effect_of(failure)
        if task.fallback is not None and effect.allows_fallback and not failure.is_consequence:
            self._ends.append(failure)
            return task.fallback()
        # A query that was not sent is sent in a later cycle, unless it is about the present.
        if task.is_live or not failure.is_consequence or effect.opens == API:
            self._ends.append(self._stopped_by or failure)
        if effect.stops_source:
            self._stopped_by = self._stopped_by or failure
        return ()
