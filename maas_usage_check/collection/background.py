"""The queries of a cycle after its ranges: hours and models, each a source with a memory in the ledger."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Hashable, Iterable, List, Optional, Sequence, Set

from ..cloud import as_query_error
from ..cloud.outcomes import API, Outcome, effect_of
from ..errors import QueryError, Result
from ..ledger import Account, BackgroundSource, CycleEnd, Failure, PartialBatch, QueryTask
from ..scheduling import Request
from ..state import UnusableError
from .session import Session


class BackgroundQueries:
    """The queries of one source in one cycle.

    Attributes:
        ends: of each query, None or why it failed.
    """

    def __init__(self, source: BackgroundSource, session: Session) -> None:
        self.ends: List[Optional[QueryError]] = []
        self._source = source
        self._session = session
        self._failure: Optional[UnusableError] = None
        self._emitted: Any = None
        self._open_live: Set[QueryTask] = set()
        self._stopped_by: Optional[QueryError] = None
        self._is_finished = False

    def plan(self, now_ms: int, answered: bool) -> List[Request]:
        """Make the requests of the planned queries."""
        try:
            return self._requests(self._source.plan(self._account, now_ms, answered))
        except Exception as error:
            self._record_failure(error)
            return []

    def finish(self, now_ms: int, unanswered: Callable[[Hashable], QueryError]) -> None:
        """End the queries. A query left for a later cycle is no failure; `unanswered` makes those of live ones."""
        self._is_finished = True  # what ends from now on is too late
        self.ends += [self._stopped_by or unanswered(task.query) for task in list(self._open_live)]
        try:
            self.ends += self._source.finish(now_ms)
        except Exception as error:
            self._record_failure(error)

    def end(self, now_ms: int, tags: Dict[str, str], answered: bool, commit: Callable[[], bool]) -> CycleEnd:
        """Make the CycleEnd of the source."""
        return CycleEnd(self._account, now_ms, tags, answered, self.ends, self._failure, commit)

    def emit(self, end: CycleEnd) -> None:
        """Emit from the ledger."""
        try:
            self._emitted = self._source.emit(end)
        except Exception as error:
            self._emitted = error if isinstance(error, UnusableError) else as_query_error(error)

    def build(self, end: CycleEnd, late: Failure) -> PartialBatch:
        """Build points and problems; `late` is why nothing was emitted in time."""
        return self._source.build(end, late if self._emitted is None else self._emitted)

    @property
    def _account(self) -> Account:
        return Account(self._session.project_id, self._session.key_name)

    def _requests(self, tasks: Iterable[QueryTask]) -> List[Request]:
        tasks = list(tasks)
        self._open_live.update(task for task in tasks if task.is_live)
        return [
            self._session.request(
                self._source.api,
                task.query,
                partial(self._on_end, task),
                task.priority,
                is_dropped=lambda: self._stopped_by is not None,
            )
            for task in tasks
        ]

    def _on_end(self, task: QueryTask, outcome: Outcome) -> List[Request]:
        if self._is_finished:
            return []
        self._open_live.discard(task)
        try:
            if isinstance(outcome, QueryError):
                return self._requests(self._on_failure(task, outcome))
            follow_ups = self._requests(task.on_answer(outcome))
            self.ends.append(None)
            return follow_ups
        except Exception as error:
            self._record_failure(error)
            return []

    def _on_failure(self, task: QueryTask, failure: QueryError) -> Sequence[QueryTask]:
        if failure.result == Result.REQUEST_REJECTED and task.on_rejected is not None:
            task.on_rejected()
            return ()
        effect, is_dropped = effect_of(failure), self._stopped_by is not None
        if task.fallback is not None and effect.allows_fallback and not failure.is_consequence:
            self.ends.append(failure)
            return task.fallback()
        if effect.stops_source and not is_dropped:
            self._stopped_by = failure
        # A query that was not sent is sent in a later cycle, unless it is about the present.
        if task.is_live or not failure.is_consequence or effect.opens == API:
            self.ends.append(self._stopped_by if is_dropped else failure)
        return ()

    def _record_failure(self, error: Exception) -> None:
        if isinstance(error, UnusableError):
            self._failure = error
            self._stopped_by = self._stopped_by or QueryError(Result.INTERNAL, str(error), is_consequence=True)
        else:
            self.ends.append(as_query_error(error))
