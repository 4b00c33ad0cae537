"""The questions of one cycle, the most urgent first; workers take them, and answers bring more."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

LIVE, LATE, DUE, HEALING, CHECK, BACKFILL = range(6)
"""What goes first: the minutes that are now, then those of a gap, then hours: one that may be wrong before one that is
not known yet."""


class QueryTask(NamedTuple):
    """One query, its priority, and what follows from its answer.

    `on_rejected` is called where the cloud rejects the query, if that is no failure. `fallback` makes the queries to
    send after a failure that need not concern another query.
    """

    priority: Tuple[int, ...]
    query: Any
    on_answer: Callable[[Any], Sequence[QueryTask]]
    on_rejected: Optional[Callable[[], None]] = None
    fallback: Optional[Callable[[], Sequence[QueryTask]]] = None

    @property
    def is_live(self) -> bool:
        """Tell whether it is about the present: what is not asked now is lost."""
        return self.priority[0] == LIVE


class PriorityQueue:
    """Hand out the questions of several keepers, each known by a number, until all are answered or it is stopped."""

    def __init__(self, asks: Mapping[int, Sequence[QueryTask]]) -> None:
        self._heap: List[Tuple[Tuple[int, ...], int, int, QueryTask]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._under_way: List[Tuple[int, QueryTask]] = []
        self._waiting: List[Tuple[int, QueryTask]] = []
        self._dropped: List[Tuple[int, QueryTask]] = []
        self._stopped = False
        for keeper, of_keeper in asks.items():
            self._add(keeper, of_keeper)

    def take(self) -> Optional[Tuple[int, QueryTask]]:
        """Wait for a question, and whose it is; None when there will be no more."""
        with self._changed:
            while not self._stopped and self._is_early():
                self._changed.wait()
            if self._stopped or not self._heap:
                return None
            keeper, ask = taken = heapq.heappop(self._heap)[2:]
            self._under_way.append(taken)
            if ask.is_live:
                self._waiting.append(taken)
            return keeper, ask

    def goes(self, keeper: int, ask: QueryTask) -> None:
        """Take note that its request goes: nothing that is less urgent can take its place in the rate any more."""
        with self._changed:
            if (keeper, ask) in self._waiting:
                self._waiting.remove((keeper, ask))
                self._changed.notify_all()

    def done(self, keeper: int, ask: QueryTask, follow: Sequence[QueryTask] = ()) -> None:
        """Hand one back with what follows from its answer."""
        with self._changed:
            self.goes(keeper, ask)
            self._under_way.remove((keeper, ask))
            self._add(keeper, follow)
            self._changed.notify_all()

    def drop(self, keeper: int) -> None:
        """Hand out nothing more of one keeper."""
        with self._changed:
            self._dropped += [entry[2:] for entry in self._heap if entry[2] == keeper]
            self._heap = [entry for entry in self._heap if entry[2] != keeper]
            heapq.heapify(self._heap)
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def left(self) -> List[Tuple[int, QueryTask]]:
        """List what was not handed back."""
        with self._changed:
            return [*self._under_way, *self._dropped, *(entry[2:] for entry in self._heap)]

    def _is_early(self) -> bool:
        if not self._heap:
            return bool(self._under_way)  # what follows from its answer may come
        return bool(self._waiting) and not self._heap[0][-1].is_live

    def _add(self, keeper: int, asks: Sequence[QueryTask]) -> None:
        for ask in asks:
            heapq.heappush(self._heap, (ask.priority, next(self._numbers), keeper, ask))
