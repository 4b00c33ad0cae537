"""One cycle of one instance: plan the queries, have them asked, make the points, say what went wrong."""

from __future__ import annotations

import hashlib
from typing import Callable, Dict, List, Optional, Tuple

from msgspec import Struct

from ..access.credentials import Provider
from ..access.gate import Gates
from ..clock import Clock
from ..cloud.client import Answer
from ..cloud.session import Session
from ..cloud.statistics import Plan, Query, Series, make_plan
from ..cloud.transport import Transport
from ..cloud.usage import Usage
from ..config.instance import Instance
from ..errors import QueryError, Result
from ..metrics.catalogue import API, Number, Point, usage_point
from ..store.store import Document
from .problems import Problem, decisive, problems_of
from .threads import Outcome, Results, ask_all

FORGET_SUCCESS = 40 * 86_400.0


class Batch(Struct, frozen=True):
    """Hold what one cycle yields. The last point is always the one that says how it went."""

    points: Tuple[Point, ...]
    problems: Tuple[Problem, ...]
    result: Result
    outcomes: Dict[Query, Outcome]

    @property
    def collected(self) -> bool:
        """Tell whether any query was answered."""
        return any(isinstance(outcome, Answer) for outcome in self.outcomes.values())


class Collector:
    """Run the cycles of one instance, one at a time."""

    def __init__(
        self, instance: Instance, provider: Provider, transport: Transport, gates: Gates, clock: Optional[Clock] = None
    ) -> None:
        self.instance = instance
        self._provider = provider
        self._transport = transport
        self._gates = gates
        self._clock = clock or Clock()
        self._cancelled = False
        self._results: Results = Results()

    def now(self) -> float:
        """Tell the time by the collector's own clock, in seconds since 1970."""
        return self._clock.now()

    def plan(self) -> Plan:
        """Plan a cycle that starts now; raise ConfigError where the host's time zone cannot be told."""
        return make_plan(self.instance, int(self.now() * 1000))

    def cancel(self) -> None:
        """End the running cycle with what is complete, and every later one. Made for signal handlers."""
        self._cancelled = True
        self._results.put(None)

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
        plan = make_plan(instance, int(now * 1000))
        name = _digest(instance)
        # By their place in the plan, which stays while the windows move on with the clock.
        turns = {query: f"{name}:{i}" for i, query in enumerate(plan.queries)}
        session = Session(instance, self._provider, self._transport, self._gates, clock, began + seconds, turns)
        # A queue of its own for each cycle: what a late worker of the last one hands in must not count here.
        self._results = results = Results()
        if self._cancelled:
            results.put(None)
        outcomes: Dict[Query, Outcome] = {}
        if plan.queries:
            outcomes = ask_all(
                session, plan.queries, instance.max_concurrency, results, began + seconds, clock, progress
            )
        why = f"no answer within the deadline of {seconds:g} s: ask less, or raise deadline and timeout"
        late = QueryError(Result.TIMED_OUT, "the cycle was ended by a signal" if self._cancelled else why)
        outcomes = {query: outcomes.get(query, late) for query in plan.queries}

        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, QueryError)]
        worked = len(failures) < len(outcomes)
        last_success: List[Optional[float]] = []

        def remember(document: Document) -> None:
            if worked:
                document.successes[name] = now
            document.successes = {key: at for key, at in document.successes.items() if at > now - FORGET_SUCCESS}
            last_success.append(document.successes.get(name))

        http_requests = session.close(remember)
        result = decisive(failures, worked)
        health: Dict[str, Number] = {
            "up": int(worked),
            "result_code": int(result),
            "queries": len(outcomes),
            "failed_queries": len(failures),
            "http_requests": http_requests,
            "duration_seconds": round(max(0.0, clock.monotonic() - began), 6),
        }
        if last_success[-1] is not None:
            health["last_success_timestamp_seconds"] = int(last_success[-1])
        points = _points(instance, plan, outcomes, session.project_id, health, int(now * 1000) * 1_000_000)
        return Batch(points, tuple(problems_of(instance, plan, outcomes, worked)), result, outcomes)


def _points(
    instance: Instance,
    plan: Plan,
    outcomes: Dict[Query, Outcome],
    project_id: str,
    health: Dict[str, Number],
    time: int,
) -> Tuple[Point, ...]:
    tags = {**instance.user_tags, "region": instance.region, "project_id": project_id}
    usage = [
        usage_point(series.measurement, {**series.tags, **tags}, total, series.coverage, time)
        for series in plan.series
        for total in _total(series, outcomes)
    ]
    return (*usage, Point(API, dict(instance.api_tags), health, time))


def _total(series: Series, outcomes: Dict[Query, Outcome]) -> List[Usage]:
    """Add up the answers of a series: one total when all its queries were answered, none otherwise."""
    total: Optional[Usage] = None
    for query in series.queries:
        outcome = outcomes[query]
        if not isinstance(outcome, Answer):
            return []
        total = outcome.usage if total is None else total + outcome.usage
    return [total] if total else []


def _digest(instance: Instance) -> str:
    """Name an instance in the state by what its series are named after."""
    series = "\0".join(f"{key}={value}" for key, value in sorted(instance.api_tags.items()))
    return hashlib.blake2b(series.encode(), digest_size=16).hexdigest()
