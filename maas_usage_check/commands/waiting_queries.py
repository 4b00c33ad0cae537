"""Queries, and other work that may hang, for `doctor` and `report`, which wait for each result."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Hashable, List, Sequence, TypeVar, Union

from ..clock import Clock
from ..cloud import Api, as_query_error
from ..cloud.outcomes import Outcome
from ..cloud.project import Iam
from ..collection import Session
from ..errors import QueryError, Result
from ..scheduling import Priority, Request
from ..watchdog import Watched

T = TypeVar("T")


def connect(session: Session) -> str:
    """Open a session and find its project; return the project's id, or raise QueryError."""
    credentials = session.collector.provider()
    session.open(session.collector.schedulers.of(credentials), credentials)
    if not session.project_id:
        session.use_project(query_one(session, Iam(), session.collector.instance.region))
    return session.project_id


def query_one(session: Session, source: Api, query: Hashable, priority: Priority = Priority.RANGE) -> Any:
    """Return the answer to one query, or raise QueryError."""
    outcomes: List[Outcome] = []

    def on_end(outcome: Outcome) -> Sequence[Request]:
        outcomes.append(outcome)
        return ()

    session.send([session.request(source, query, on_end, (priority, 0))])
    outcome = outcomes[0] if outcomes else QueryError(Result.TIMED_OUT, session.late)
    if isinstance(outcome, QueryError):
        raise outcome
    return outcome


def query_cloud(session: Session, source: Api, query: Hashable, priority: Priority = Priority.RANGE) -> Any:
    """Return the answer or the error of a query: the state may hang."""
    left_s = session.group.last_deadline - session.collector.clock.monotonic()
    return attempt(left_s, partial(query_one, session, source, query, priority))


def attempt(seconds: float, work: Callable[[], T]) -> Union[T, QueryError]:
    """Return the result or the error of work that may hang for longer than so many seconds."""
    clock, watched = Clock(), Watched(work)
    deadline = clock.monotonic() + seconds + 0.5
    if not watched.wait(clock, lambda: deadline):
        return QueryError(Result.TIMED_OUT, f"no answer in {seconds:.0f} s: check the network, or raise timeout")
    outcome = watched.outcome
    if isinstance(outcome, (OSError, UnicodeError)):
        return QueryError(Result.NETWORK, str(outcome))
    return as_query_error(outcome) if isinstance(outcome, Exception) else outcome  # type: ignore[return-value]
