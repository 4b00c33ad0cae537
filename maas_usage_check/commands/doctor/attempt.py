"""Work that may hang, as a result or a QueryError."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Hashable, TypeVar, Union

from ...clock import Clock
from ...cloud import Api, as_query_error
from ...collection import Session
from ...errors import QueryError, Result
from ...scheduling import Priority
from ...watchdog import Watched
from ..waiting_queries import query_one

T = TypeVar("T")


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
