"""Queries for `doctor` and `report`, which wait for each answer."""

from __future__ import annotations

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
    outcomes: List[Outcome] = []

    def on_end(outcome: Outcome) -> Sequence[Request]:
        outcomes.append(outcome)
        return ()

    session.send([session.request(source, query, on_end, (priority, 0))])
    outcome = outcomes[0] if outcomes else QueryError(Result.TIMED_OUT, session.late)
    if isinstance(outcome, QueryError):
        raise outcome
    return outcome
