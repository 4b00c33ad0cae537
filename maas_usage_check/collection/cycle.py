"""One cycle of one instance: plan, query, emit from the ledger, build the batch."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Callable, ClassVar, Dict, Iterable, List, Sequence, Tuple

from msgspec import Struct

from ..cloud import Credentials, Outcome, Plan, Query, as_query_error
from ..cloud.project import Iam
from ..errors import Problem, QueryError, Result
from ..metrics import API, Number, Point
from ..scheduling import Request, Scheduler
from ..watchdog import hung_threads
from .batch import Batch, build_ranges, decisive_result
from .collector import Collector
from .session import Session

if TYPE_CHECKING:
    from ..ledger import CycleEnd, Planner
    from .background import BackgroundQueries

MOST_HUNG = 32
"""Threads of this process that may hang; beyond them nothing is queried, for each cycle could add more."""
HUNG = (
    "{} threads of earlier cycles hang: see whether names are resolved, files can be read and proxies answer, "
    "then restart this process"
)
NOT_EMITTED = "the cycle ended before this was emitted; the next one emits it"
END_OF_TIME = 2.0**32
"""Seconds, in the year 2106."""


class LastSuccess(Struct, omit_defaults=True):
    """When a query of an instance was last answered, in seconds since 1970, as stored between runs."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    at: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a time that no metrics store accepts."""
        if not 0 <= self.at < END_OF_TIME:
            raise ValueError("no time")


class Cycle:
    """A cycle: `begin`, `end_queries`, `emit`, `batch`. To plan it may raise ConfigError.

    Args:
        collector: the instance's.
        timeout: seconds.
        progress: called after each query for a range.
        now: seconds since 1970.

    Attributes:
        ended: when the queries ended, in monotonic seconds.
    """

    def __init__(self, collector: Collector, timeout: float, progress: Callable[[], None], now: float) -> None:
        self.collector = collector
        self._began = self.ended = collector.clock.monotonic()
        self._now, self._now_ms = now, int(now * 1000)
        self._progress = progress
        sources = collector.active_sources()
        plans = [(source, source.plan(collector.instance, self._now_ms)) for source, _ in sources]
        self._plan = Plan.merge([plan for _, plan in plans])
        self._source_of = {query: source for source, plan in plans for query in plan.queries}
        self.session = Session(collector, timeout)
        self._outcomes: Dict[Query, Outcome] = {}
        self._background: List[BackgroundQueries] = []
        if collector.consumer is not None:
            what = (collector.instance, collector.schedulers.store, collector.consumer, self._now_ms)
            planners = [make_planner(source, *what) for source, make_planner in sources]
            self._background = [self._background_of(planner) for planner in planners if planner is not None]
        self._ended: List[Tuple[BackgroundQueries, CycleEnd]] = []
        self._lock = threading.Lock()
        self._is_built = False
        self._hung = hung_threads(self._began)
        if self._hung >= MOST_HUNG:
            self.session.failure = QueryError(Result.TIMED_OUT, f"{HUNG.format(self._hung)}, so nothing is queried")

    def _background_of(self, planner: Planner) -> BackgroundQueries:
        from .background import BackgroundQueries  # it imports the ledger

        return BackgroundQueries(planner, self.session, self._now_ms)

    @property
    def has_queries(self) -> bool:
        """True if there is anything to query."""
        return bool(self._source_of or self._background) and self.session.failure is None

    def begin(self, scheduler: Scheduler, credentials: Credentials) -> Sequence[Request]:
        """Return the first requests; the others follow from their answers."""
        self.session.open(scheduler, credentials)
        if self.session.project_id:
            return self._ranges()
        return [self.session.request(Iam(), self.collector.instance.region, self._on_project)]

    def fail(self, error: BaseException) -> None:
        """Record why nothing is queried: there are no credentials, or there is no project."""
        if not self.session.group.is_cancelled():  # a query that was cancelled did not fail
            self.session.failure = as_query_error(error)

    def _on_project(self, outcome: Outcome) -> Sequence[Request]:
        try:
            if isinstance(outcome, QueryError):
                raise outcome
            self.session.use_project(outcome)
            return self._ranges()
        except Exception as error:
            self.fail(error)
            return ()

    def _ranges(self) -> Sequence[Request]:
        collector, session = self.collector, self.session
        name = collector.instance.state_name
        # A query key has the place in the plan, which stays while the windows move on with the clock.
        requests = [
            session.request(source, query, partial(self._on_end, query), (collector.priority, i), f"{name}:{i}")
            for i, (query, source) in enumerate(self._source_of.items())
        ]
        return requests or self._plan_background()

    def _on_end(self, query: Query, outcome: Outcome) -> Sequence[Request]:
        with self._lock:
            if self.session.drops(outcome):
                return ()
            self._outcomes[query] = outcome
            is_last = len(self._outcomes) == len(self._source_of)
        self._progress()
        return self._plan_background() if is_last else ()

    def _plan_background(self) -> Sequence[Request]:
        if self.session.group.is_cancelled() or self.collector.clock.monotonic() >= self.session.group.deadline:
            return ()
        answered = not self._source_of or _has_answer(self._outcomes.values())
        return [request for each in self._background for request in each.plan(answered)]

    def end_queries(self) -> bool:
        """Drop later outcomes; return True to the first caller: it emits."""
        collector, session, store = self.collector, self.session, self.collector.schedulers.store
        with self._lock:
            if session.is_over:
                return False
            session.is_over, self.ended = True, collector.clock.monotonic()
            # Where none of the queries was sent, something before them hung.
            why = session.late if session.sent.isdisjoint(self._source_of) else ""
            if collector.is_cancelled or store.hangs:
                why = "the cycle was ended by a signal" if collector.is_cancelled else str(store.hang_error())
            if why and session.failure is None:
                session.failure = QueryError(Result.TIMED_OUT, why)
            outcomes = self._outcomes
            self._outcomes = {query: outcomes.get(query, session.unanswered(query)) for query in self._plan.queries}
            answered, is_open = _has_answer(self._outcomes.values()), lambda: not self._is_built
            # After a stop nobody takes increments: they stay for the next run.
            if not (collector.is_cancelled and collector.consumer and collector.consumer.is_incremental):
                self._ended = [(each, each.end(self._tags(), answered, is_open)) for each in self._background]
            return True

    def emit(self) -> None:
        """Store what the next cycle needs, and emit from the ledger."""
        collector = self.collector
        self.session.close(list(self._outcomes.values()))
        with collector.schedulers.store.entry(LastSuccess, collector.instance.state_name) as last:
            collector.last_success = last.at = self._now if _has_answer(self._ends()) else last.at
        for queries, end in self._ended:
            queries.emit(end)

    def _ends(self) -> List[Outcome]:
        return [*self._outcomes.values(), *(each for _, end in self._ended for each in end.ends)]

    def _tags(self) -> Dict[str, str]:
        instance = self.collector.instance
        return {**instance.user_tags, "region": instance.region, "project_id": self.session.project_id}

    def batch(self) -> Batch:
        """Build the batch. A later emission is rolled back."""
        self._is_built = True
        collector, instance, outcomes = self.collector, self.collector.instance, self._outcomes
        store, ends = collector.schedulers.store, self._ends()
        failures = [end for end in ends if isinstance(end, QueryError)]
        worked = len(failures) < len(ends)
        collector.last_success = self._now if worked else collector.last_success
        late = store.hang_error() if store.hangs else QueryError(Result.TIMED_OUT, NOT_EMITTED)
        parts = [queries.build(end, late) for queries, end in self._ended]
        result = decisive_result(failures, worked)
        if result == Result.OK and any(part.is_partial for part in parts):
            result = Result.PARTIAL
        time_ns = self._now_ms * 1_000_000
        points, problems, answered = build_ranges(instance, self._plan, outcomes, self._tags(), time_ns, worked)
        if self.session.group.waited_s:
            used = f"max_requests_per_minute ({instance.max_requests_per_minute}) was used up"
            text = f"{instance.display_name}: rate limit: waited {self.session.group.waited_s:.0f} s, {used}"
            problems.append(Problem("I", text, ""))
        health: Dict[str, Number] = {
            "up": int(worked),
            "result_code": int(result),
            "queries": len(ends),
            "failed_queries": len(failures),
            "http_requests": self.session.client.http_requests if self.session.client else 0,
            "duration_seconds": round(max(0.0, collector.clock.monotonic() - self._began), 6),
        }
        if collector.last_success:
            health["last_success_timestamp_seconds"] = int(collector.last_success)
        for part in parts:
            points += part.points
            problems += part.problems
            answered |= part.answered
            health.update(part.health)
        if 0 < self._hung < MOST_HUNG:
            problems.append(Problem("W", HUNG.format(self._hung), "threads"))
        elif not self._hung:
            answered.add("threads")
        points.append(Point(API, dict(instance.api_tags), health, time_ns))
        return Batch(tuple(points), tuple(problems), result, outcomes, worked, frozenset(answered))


def _has_answer(ends: Iterable[Outcome]) -> bool:
    return any(not isinstance(end, QueryError) for end in ends)
