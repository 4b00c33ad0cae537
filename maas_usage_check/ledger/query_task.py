"""The queries that a planner wants sent, and what follows from each answer."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

from ..scheduling import Priority


class QueryTask(NamedTuple):
    """One query of a planner.

    Attributes:
        priority: a Priority, then the order among the queries of that priority.
        query: the source's own.
        on_answer: takes the answer and returns the queries that follow from it.
        on_rejected: called where the cloud rejects the query, if that is no failure.
        fallback: makes the queries to send after a failure that they may not meet.
    """

    priority: Tuple[int, ...]
    query: Any
    on_answer: Callable[[Any], Sequence[QueryTask]]
    on_rejected: Optional[Callable[[], None]] = None
    fallback: Optional[Callable[[], Sequence[QueryTask]]] = None

    @property
    def is_live(self) -> bool:
        """True if it is about the present: a later cycle cannot send it."""
        return self.priority[0] == Priority.LIVE
