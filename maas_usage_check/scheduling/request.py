"""A request to come, and the cycle that it belongs to."""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import Any, Callable, Dict, Iterable, Optional, Sequence, Set, Tuple

from msgspec import Struct, field

from ..cloud.outcomes import Outcome
from ..errors import QueryError, Result

RETRIES_S = (0.5, 1.0)
"""Seconds before each further try, each spread by half, so that many agents do not come back together."""


class Priority(IntEnum):
    """The most urgent first.

    After LIVE all take the background share of the rate. BY_HAND is for `report` and `doctor`: somebody waits for it.
    """

    RANGE = 0
    LIVE = 1
    BY_HAND = 2
    GAP = 3
    RECENT = 4
    REPAIR = 5
    DAILY_CHECK = 6
    BACKFILL = 7


class Group(Struct, eq=False):
    """The requests of one cycle: they share limits and a deadline.

    Attributes:
        per_minute: requests that may leave within a minute; of all cycles of the access key the lowest limit holds.
        concurrency: requests in flight at most; likewise.
        deadline: monotonic seconds; what was not sent by then is not sent.
        last_deadline: until when waiting for the rate may move the deadline, unless in the background.
        request_s: seconds that a request may take after such a wait.
        is_cancelled: reads a flag; nothing is sent once it is true.
        not_sent: the text of the error of a request that was not sent by the deadline.
        on_wait: takes the seconds of the first wait for the rate.
        ended: set when the last pending request ends.
        throttled: the APIs that answered 429 during the cycle.
        refused: the error of each API whose proxy refused our password: no request passes through it.
        waited_s: how long the first wait for the rate was.
    """

    per_minute: int
    concurrency: int
    deadline: float
    last_deadline: float = 0.0
    request_s: float = 0.0
    is_cancelled: Callable[[], bool] = lambda: False
    not_sent: str = "not sent before the deadline"
    retries_s: Sequence[float] = RETRIES_S
    on_wait: Callable[[float], None] = lambda seconds: None
    pending: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    throttled: Set[str] = set()
    refused: Dict[str, QueryError] = {}
    waited_s: float = 0.0

    def not_sent_error(self) -> QueryError:
        """Make the error of a request that was not sent by the deadline."""
        return QueryError(Result.TIMED_OUT, self.not_sent, is_consequence=True)


class Request(Struct, eq=False):
    """One request to come.

    Attributes:
        priority: a Priority, then the order among the requests of that priority.
        api: the API that it calls.
        run: sends it and returns the believed answer; raises QueryError.
        on_end: takes the answer or the QueryError, and returns the requests that follow.
        query_key: names the query from cycle to cycle; one that the rate defers goes first in the next.
        is_dropped: reads a flag; it is not sent once it is true.
        failure: of the last try.
    """

    group: Group
    priority: Tuple[int, ...]
    api: str
    run: Callable[[], Any]
    on_end: Callable[[Outcome], Iterable[Request]]
    query_key: str = ""
    is_dropped: Callable[[], bool] = lambda: False
    tries: int = 0
    failure: Optional[QueryError] = None

    @property
    def is_background(self) -> bool:
        """True if it takes the background share of the rate."""
        return self.priority[0] > Priority.LIVE

    def can_wait_until(self, free_at: float, now: float) -> bool:
        """Return whether it can wait for the rate; move the deadline of its cycle where somebody waits for it."""
        group = self.group
        if self.priority[0] <= Priority.BY_HAND:
            if free_at < group.last_deadline:
                group.deadline = max(group.deadline, min(group.last_deadline, free_at + group.request_s))
            if free_at < group.deadline and free_at - now >= 1 and not group.waited_s:
                group.waited_s = free_at - now
                group.on_wait(group.waited_s)
        return free_at < group.deadline
