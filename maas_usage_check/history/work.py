"""The questions of one cycle, the most urgent first; workers take them, and answers bring more."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

DUE, HEALING, CHECK, BACKFILL = range(4)
"""What goes first: an hour that may be wrong is worse than one that is not known yet."""


class Ask(NamedTuple):
    """Hold one question, how urgent it is, and what its answer leads to."""

    urgency: Tuple[int, ...]
    query: Any
    learn: Callable[[Any], Sequence[Ask]]


class Work:
    """Hand out questions to several workers until all are answered or it is stopped."""

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._heap: List[Tuple[Tuple[int, ...], int, Ask]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._under_way = 0
        self._stopped = False
        self._add(asks)

    def take(self) -> Optional[Ask]:
        """Wait for a question; None when there will be no more."""
        with self._changed:
            while not self._heap and self._under_way and not self._stopped:
                self._changed.wait()
            if self._stopped or not self._heap:
                return None
            self._under_way += 1
            return heapq.heappop(self._heap)[2]

    def done(self, follow: Sequence[Ask] = ()) -> None:
        """Hand one back with what follows from its answer."""
        with self._changed:
            self._under_way -= 1
            self._add(follow)
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _add(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            heapq.heappush(self._heap, (ask.urgency, next(self._numbers), ask))
