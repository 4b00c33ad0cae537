"""One cycle of one instance: plan, have the queries asked, make the points, say what went wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..cloud import Outcome, Plan, Provider, Query, Source, Statistics, Transport, as_query_error
from ..config import Instance
from ..errors import QueryError, Result
from ..metrics import API, Number, Point
from ..scheduling import Gates, Session
from ..scheduling.worker_pool import Crew, hanging
from .last_success import LastSuccess, digest
from .plans import points_of, whole
from .problems import Problem, answered_of, decisive, problems_of

if TYPE_CHECKING:
    from ..ledger import Consumer
    from .background import Spare

SOURCES: Tuple[Source, ...] = (Statistics(),)
MOST_HANGING = 32
"""Threads that may hang in this process; beyond them nothing is asked, for each cycle could add more."""
STUCK = (
    "{} threads of earlier cycles hang: see whether names are resolved, files can be read and proxies answer, "
    "then restart this process"
)
NOT_SENT = "not sent: earlier requests used up the {:g} s deadline; check whether the cloud is slow"
LATE = "no answer within the deadline of {:g} s: check the network, ask less, or raise deadline and timeout"
CLOSING = 0.5
"""Seconds that the end of a cycle may take: the folder of the state may hang."""


class Batch(Struct, frozen=True):
    """Hold what one cycle yields. The last point is always the one that says how it went.

    `collected` tells whether any query was answered; `answered` names what was, by the keys of its problems: without a
    problem it has recovered.
    """

    points: Tuple[Point, ...]
    problems: Tuple[Problem, ...]
    result: Result
    outcomes: Dict[Query, Outcome]
    collected: bool
    answered: FrozenSet[str] = frozenset()


class Collector:
    """Run the cycles of one instance, one at a time. Without a consumer its hours are left alone."""

    def __init__(
        self,
        instance: Instance,
        provider: Provider,
        transport: Transport,
        gates: Gates,
        clock: Clock,
        sources: Sequence[Source] = SOURCES,
        consumer: Optional[Consumer] = None,
    ) -> None:
        self.instance = instance
        self._provider = provider
        self._transport = transport
        self._gates = gates
        self._clock = clock
        self._sources = sources
        self._name = digest(instance)
        self._last_success = 0.0
        self._spare: Optional[Spare] = None
        if consumer is not None and (instance.hourly or instance.models):  # what nobody takes is not even imported
            from .sources import spare_of

            self._spare = spare_of(instance, sources[0], gates.store, clock, consumer)
        self._cancelled = False
        self._crew = Crew(clock)
        self._session: Optional[Session] = None

    @property
    def asks_hours(self) -> bool:
        """Tell whether it asks about the hours too."""
        return self._spare is not None and self.instance.hourly

    def now(self) -> float:
        """Tell the time by the collector's own clock, in seconds since 1970."""
        return self._clock.now()

    def plan(self) -> Plan:
        """Plan a cycle that starts now; raise ConfigError where the host's time zone cannot be told."""
        return whole([source.plan(self.instance, int(self.now() * 1000)) for source in self._sources])

    def cancel(self) -> None:
        """End the running cycle with what is complete, and every later one. Made for signal handlers."""
        self._cancelled = True
        if self._session is not None:
            self._session.stop()
        self._crew.stop()

    def cycle(
        self,
        deadline: Optional[float] = None,
        progress: Callable[[], None] = lambda: None,
        now: Optional[float] = None,
    ) -> Batch:
        """Ask everything once and make the points.

        Args:
            deadline: seconds, instead of the instance's.
            progress: called after each query.
            now: the cycle's own time, in seconds since 1970, where several instances share it.
        """
        instance, clock = self.instance, self._clock
        now, began = self.now() if now is None else now, clock.monotonic()
        seconds = instance.deadline if deadline is None else deadline
        plans = [(source, source.plan(instance, int(now * 1000))) for source in self._sources]
        plan = whole([each for _, each in plans])
        asked = {query: source for source, each in plans for query in each.queries}
        # By their place in the plan, which stays while the windows move on with the clock.
        turns = {query: f"{self._name}:{i}" for i, query in enumerate(plan.queries)}
        why = LATE.format(seconds)
        session = self._session = Session(
            instance, self._provider, self._transport, self._gates, clock, began + seconds, turns, late=why,
            not_sent=NOT_SENT.format(seconds),
        )  # fmt: skip
        hang, spare = hanging(began), self._spare
        of_spare: List[Optional[QueryError]] = []
        if hang >= MOST_HANGING:
            outcomes = dict.fromkeys(asked, QueryError(Result.TIMED_OUT, f"{STUCK.format(hang)}, so nothing is asked"))
        elif asked or spare:
            outcomes = self._ask(session, asked, began + seconds, progress)
            if spare and session.is_connected:
                of_spare = spare.ask(
                    session, self._crew, int(now * 1000), began + seconds, not asked or _answered(outcomes)
                )
        else:
            outcomes = {}
        session.stop()
        cut = self._cancelled or self._gates.store.hangs
        if cut:
            why = "the cycle was ended by a signal" if self._cancelled else str(self._gates.store.hang_error())
        late = QueryError(Result.TIMED_OUT, why)
        # Where no query was sent, something before them hung.
        unsent = session.not_sent() if session.sent and not cut else late
        outcomes = {query: outcomes.get(query, late if query in session.sent else unsent) for query in plan.queries}
        ends = [*outcomes.values(), *of_spare]
        failures, queries = [end for end in ends if isinstance(end, QueryError)], len(ends)
        worked = len(failures) < queries
        self._close(session, list(outcomes.values()), now if worked else None)
        result = decisive(failures, worked)
        health: Dict[str, Number] = {
            "up": int(worked),
            "result_code": int(result),
            "queries": queries,
            "failed_queries": len(failures),
            "http_requests": session.http_requests,
            "duration_seconds": round(max(0.0, clock.monotonic() - began), 6),
        }
        if self._last_success:
            health["last_success_timestamp_seconds"] = int(self._last_success)
        time = int(now * 1000) * 1_000_000
        tags = {**instance.user_tags, "region": instance.region, "project_id": session.project_id}
        usage, doubts = points_of(plan, outcomes, tags, time)
        problems = problems_of(instance, plan, outcomes, worked, doubts)
        answered = answered_of(instance, outcomes, worked)
        if spare and not (self._cancelled and spare.counts_once):
            # Who was told to end waits no longer for a state that hangs.
            until = clock.monotonic() if self._cancelled else began + seconds
            share = spare.give(session, int(now * 1000), tags, _answered(outcomes), until)
            usage, problems = [*usage, *share.points], [*problems, *share.problems]
            answered |= share.answered
            if share.is_partial and result == Result.OK:
                result = Result.PARTIAL
            health.update(share.health, result_code=int(result))
        points = (*usage, Point(API, dict(instance.api_tags), health, time))
        if 0 < hang < MOST_HANGING:
            problems.append(Problem("W", STUCK.format(hang), "threads"))
        elif not hang:
            answered.add("threads")
        return Batch(points, tuple(problems), result, outcomes, worked, frozenset(answered))

    def _ask(
        self, session: Session, asked: Dict[Query, Source], give_up: float, progress: Callable[[], None]
    ) -> Dict[Query, Outcome]:
        """Connect, and ask every query; return the outcomes there are in time."""
        # A crew for each cycle: it was told to stop for that one alone.
        crew = self._crew = Crew(self._clock)
        if self._cancelled:
            crew.stop()
        connected = crew.do({"connect": session.connect}, give_up=give_up)
        if not connected:
            return {}
        if isinstance(connected["connect"], Exception):
            return dict.fromkeys(asked, as_query_error(connected["connect"]))
        works = {query: partial(session.ask, source, query) for query, source in asked.items()}
        ended = crew.do(works, self.instance.max_concurrency, give_up, progress, session.is_crowded)
        return {query: as_query_error(end) if isinstance(end, Exception) else end for query, end in ended.items()}

    def _close(self, session: Session, outcomes: List[Outcome], success: Optional[float]) -> None:
        """Leave in the store what the next run needs."""
        self._last_success = success or self._last_success

        def leave() -> None:
            session.close(outcomes)
            with self._gates.store.entry(LastSuccess, self._name) as last:
                self._last_success = last.at = success or last.at

        Crew(self._clock).do({"close": leave}, give_up=self._clock.monotonic() + CLOSING)


def _answered(outcomes: Dict[Query, Outcome]) -> bool:
    return any(not isinstance(end, QueryError) for end in outcomes.values())
