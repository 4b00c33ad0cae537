"""Queries for `doctor` and `report`, which wait for each answer."""

from __future__ import annotations

from functools import partial
from typing import Any, Hashable, List, Sequence

from ..cloud import Api
from ..cloud.outcomes import Outcome
from ..cloud.project import Iam
from ..collection import Session
from ..errors import QueryError, Result
from ..scheduling import Priority, Request


def connect(session: Session) -> str:
    """Open a session and find its project; return the project's id, or raise QueryError."""
    credentials = session.collector.provider()
    session.open(session.collector.schedulers.of(credentials), credentials)
    if not session.project_id:
        session.use_project(query_one(session, Iam(), session.collector.instance.region))
    return session.project_id


def query_one(session: Session, source: Api, query: Hashable, priority: Priority = Priority.RANGE) -> Any:
    """Return the answer to one query, or raise QueryError."""
    (outcome,) = query_all(session, source, [query], priority)
    if isinstance(outcome, QueryError):
        raise outcome
    return outcome


def query_all(session: Session, source: Api, queries: Sequence[Hashable], priority: Priority) -> List[Any]:
    """Send queries at once; return of each the answer or the QueryError."""
    outcomes: List[Outcome] = [QueryError(Result.TIMED_OUT, session.late) for _ in queries]

    def on_end(i: int, outcome: Outcome) -> Sequence[Request]:
        outcomes[i] = outcome
        return ()

    session.send([session.request(source, query, partial(on_end, i), (priority, i)) for i, query in enumerate(queries)])
    return list(outcomes)
