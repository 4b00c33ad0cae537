"""One cycle of one instance: plan, query, emit from the ledger, build the batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Callable, Dict, Hashable, List, Sequence

from ..cloud import Outcome, Plan, Query, as_query_error
from ..errors import Problem, QueryError, Result
from ..metrics import API, Number, Point
from ..scheduling import Group, Request
from ..watchdog import STATE_STOP_S, Watched, hung_threads
from .batch import Batch, answered_keys, build_points, decisive_result, list_problems
from .last_success import LastSuccess
from .session import Session

if TYPE_CHECKING:
    from ..ledger import Failure
    from .background import BackgroundQueries
    from .collector import Collector

MOST_HUNG = 32
"""Threads of this process that may hang; beyond them nothing is queried, for each cycle could add more."""
HUNG = (
    "{} threads of earlier cycles hang: see whether names are resolved, files can be read and proxies answer, "
    "then restart this process"
)
NOT_SENT = "not sent: earlier requests used up the {:g} s deadline; check whether the cloud is slow"
LATE = "no answer within the deadline of {:g} s: check the network, ask less, or raise deadline and timeout"
NOT_EMITTED = "the cycle ended before this was emitted; the next one emits it"
EMIT_S = 3.0
"""Seconds that the state may take after the deadline."""


class Cycle:
    """A cycle: `start`, `end_queries`, `result`. To plan it may raise ConfigError.

    Args:
        collector: the instance's.
        timeout: seconds.
        progress: called after each query for a range.
        now: seconds since 1970.
    """

    def __init__(self, collector: Collector, timeout: float, progress: Callable[[], None], now: float) -> None:
        instance, clock = collector.instance, collector.clock
        self._collector = collector
        self._began = clock.monotonic()
        self._now, self._now_ms = now, int(now * 1000)
        self._timeout = timeout
        self._progress = progress
        plans = [(source, source.plan(instance, self._now_ms)) for source in collector.sources]
        self._plan = Plan.merge([plan for _, plan in plans])
        self._source_of = {query: source for source, plan in plans for query in plan.queries}
        self._group = Group(
            instance.max_requests_per_minute,
            instance.max_concurrency,
            self._began + timeout,
            extension_s=collector.rate_extension_s,
            request_s=instance.timeout,
            is_cancelled=lambda: collector.is_cancelled or self._is_over,
            not_sent=NOT_SENT.format(timeout),
        )
        self._session = Session(
            instance, collector.provider, collector.transport, collector.schedulers, clock, self._group,
            late=LATE.format(timeout), on_wait=self._on_wait,
        )  # fmt: skip
        self._waited_s = 0.0
        self._outcomes: Dict[Query, Outcome] = {}
        self._background: List[BackgroundQueries] = []
        if collector.background:
            from .background import BackgroundQueries  # it imports the ledger: see Collector

            self._background = [BackgroundQueries(source, self._session) for source in collector.background]
        self._is_over = self._is_emitted = False
        self._hung = hung_threads(self._began)

    def start(self) -> None:
        """Begin to query."""
        if self._hung < MOST_HUNG and (self._source_of or self._background):
            self._queries = Watched(self._query)
        else:
            self._queries = Watched(lambda: None)
            text = f"{HUNG.format(self._hung)}, so nothing is queried"
            self._outcomes = dict.fromkeys(self._source_of, QueryError(Result.TIMED_OUT, text))

    def end_queries(self) -> None:
        """Wait until all queries have ended, the deadline has passed or the cycle is cancelled; begin to emit."""
        collector, clock, store = self._collector, self._collector.clock, self._collector.schedulers.store
        self._queries.wait(clock, lambda: self._group.deadline, lambda: collector.is_cancelled)
        self._is_over = True
        if collector.is_cancelled and collector.consumer and collector.consumer.is_incremental:
            self._background = []  # nobody takes what would be emitted
        cut, why = collector.is_cancelled or store.hangs, LATE.format(self._timeout)
        if cut:
            why = "the cycle was ended by a signal" if collector.is_cancelled else str(store.hang_error())
        bug = self._queries.outcome  # None, unless the code that queries failed
        self._late = self._unsent = as_query_error(bug) if bug else QueryError(Result.TIMED_OUT, why)
        # Where no query was sent, something before them hung.
        if self._session.sent.intersection(self._source_of) and not cut:
            self._unsent = self._group.not_sent_error()
        self._outcomes = {query: self._outcomes.get(query, self._unanswered(query)) for query in self._plan.queries}
        self._ended = clock.monotonic()
        self._emission = Watched(self._emit)

    def result(self) -> Batch:
        """Wait for the ledger and build the batch; `end_queries` comes first."""
        self._emission.wait(self._collector.clock, self._emit_until)
        self._is_emitted = True
        return self._batch()

    def _emit_until(self) -> float:
        # SIGTERM may come while the state hangs.
        cancelled_at = max(self._ended, self._collector.cancelled_at)
        return min(max(self._ended + EMIT_S, self._group.deadline), cancelled_at + STATE_STOP_S)

    def _unanswered(self, query: Hashable) -> QueryError:
        return self._late if query in self._session.sent else self._unsent

    def _query(self) -> None:
        """Send all queries, in a thread of its own: credentials, names and files may hang."""
        collector, session = self._collector, self._session
        try:
            session.connect()
        except Exception as error:
            for query in self._source_of:
                self._on_end(query, as_query_error(error))
            return
        # A query key has the place in the plan, which stays while the windows move on with the clock.
        session.run(
            [
                session.request(
                    source, query, partial(self._on_end, query), (collector.priority, i), f"{collector.name}:{i}"
                )
                for i, (query, source) in enumerate(self._source_of.items())
            ]
        )
        if self._background and not self._group.is_cancelled() and collector.clock.monotonic() < self._group.deadline:
            answered = not self._source_of or self._any_answered()
            session.run([one for each in self._background for one in each.plan(self._now_ms, answered)])

    def _on_end(self, query: Query, outcome: Outcome) -> Sequence[Request]:
        outcomes = self._outcomes  # those of the batch are others: `end_queries` copies them
        # A query that was cancelled did not fail.
        if not (self._is_over or (isinstance(outcome, QueryError) and self._group.is_cancelled())):
            outcomes[query] = outcome
            self._progress()
        return ()

    def _on_wait(self, seconds: float) -> None:
        self._waited_s = seconds

    def _any_answered(self) -> bool:
        return any(not isinstance(end, QueryError) for end in self._outcomes.values())

    def _emit(self) -> None:
        """Store what the next cycle needs, and emit from the ledger; in a thread of its own, for the state may hang."""
        collector = self._collector
        for each in self._background:
            each.finish(self._now_ms, self._unanswered)
        self._session.close(list(self._outcomes.values()))
        success = None in self._ends() or self._any_answered()
        with collector.schedulers.store.entry(LastSuccess, collector.name) as last:
            collector.last_success = last.at = self._now if success else last.at
        for each in self._background:
            each.emit(self._now_ms, self._tags(), self._any_answered(), lambda: not self._is_emitted)

    def _not_emitted(self) -> Failure:
        store = self._collector.schedulers.store
        return store.hang_error() if store.hangs else QueryError(Result.TIMED_OUT, NOT_EMITTED)

    def _ends(self) -> List[object]:
        return [end for each in self._background for end in each.ends]

    def _tags(self) -> Dict[str, str]:
        instance = self._collector.instance
        return {**instance.user_tags, "region": instance.region, "project_id": self._session.project_id}

    def _batch(self) -> Batch:
        collector, instance, outcomes = self._collector, self._collector.instance, self._outcomes
        ends = [*outcomes.values(), *self._ends()]
        failures = [end for end in ends if isinstance(end, QueryError)]
        worked = len(failures) < len(ends)
        if worked:
            collector.last_success = self._now
        result = decisive_result(failures, worked)
        health: Dict[str, Number] = {
            "up": int(worked),
            "result_code": int(result),
            "queries": len(ends),
            "failed_queries": len(failures),
            "http_requests": self._session.http_requests,
            "duration_seconds": round(max(0.0, collector.clock.monotonic() - self._began), 6),
        }
        if collector.last_success:
            health["last_success_timestamp_seconds"] = int(collector.last_success)
        points, warnings = build_points(self._plan, outcomes, self._tags(), self._now_ms * 1_000_000)
        problems = list_problems(instance, self._plan, outcomes, worked, warnings)
        answered = answered_keys(instance, outcomes, worked)
        if self._waited_s:
            used = f"max_requests_per_minute ({instance.max_requests_per_minute}) was used up"
            text = f"{instance.display_name}: rate limit: waited {self._waited_s:.0f} s, {used}"
            problems.append(Problem("I", text, ""))
        for each in self._background:
            part = each.build(self._now_ms, self._tags(), self._any_answered(), self._not_emitted())
            points += part.points
            problems += part.problems
            answered |= part.answered
            if part.is_partial and result == Result.OK:
                result = Result.PARTIAL
            health.update(part.health, result_code=int(result))
        points.append(Point(API, dict(instance.api_tags), health, self._now_ms * 1_000_000))
        if 0 < self._hung < MOST_HUNG:
            problems.append(Problem("W", HUNG.format(self._hung), "threads"))
        elif not self._hung:
            answered.add("threads")
        return Batch(tuple(points), tuple(problems), result, outcomes, worked, frozenset(answered))
