"""The points of the last cycles, without those that have expired."""

from __future__ import annotations

import math
import threading
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ...clock import Clock
from ...collection import Collector
from ...errors import Problem, Result
from ...metrics import API, CATALOGUE, COUNT, Number, Point
from ...metrics.points import fresh_points

TIMES = ("last_success_timestamp_seconds", "newest_usage_timestamp_seconds")
"""The health fields that do not expire."""
STATE_S = 1.0
"""Seconds for which the first scrapes wait for the counters in the state, which may hang."""


class NewestBatch(NamedTuple):
    """The newest batch of one instance; without points before its first cycle."""

    collector: Collector
    points: Sequence[Point] = ()
    problems: Sequence[Problem] = ()


class Snapshot:
    """Share the newest batches: one thread replaces them, any number read them.

    Attributes:
        batches: of all instances, in the order of the file. Each change is a new tuple.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: Sequence[Point] = ()
        self._has_points = threading.Event()
        self._points: Optional[Sequence[Point]] = None
        self._deadline = math.inf
        self.batches: Tuple[NewestBatch, ...] = ()

    def replace(self, points: Sequence[Point]) -> None:
        """Replace all points."""
        self._points = points
        self._has_points.set()

    def set_stored(self, counters: Sequence[Point]) -> None:
        """Set the points to show until the first cycle has ended: the counters in the state."""
        self._stored = counters
        self._has_points.set()

    def set_deadline(self, deadline: float) -> None:
        """Set when the next cycle must have ended, in monotonic seconds."""
        self._deadline = deadline

    @property
    def is_ready(self) -> bool:
        """True once the first cycle has ended."""
        return self._points is not None

    @property
    def is_healthy(self) -> bool:
        """True unless a cycle is overdue."""
        return self._clock.monotonic() <= self._deadline

    def points(self) -> List[Point]:
        """Return the points that have not expired; if a cycle is overdue, the counts and `up 0`."""
        self._has_points.wait(STATE_S)
        return self._current(self._stored if self._points is None else self._points)

    def points_of(self, batch: NewestBatch) -> List[Point]:
        """Return those of one instance."""
        return self._current(batch.points)

    def _current(self, points: Sequence[Point]) -> List[Point]:
        return fresh_points(points, self._clock.now()) if self.is_healthy else list(points_after_failure(points))


def points_after_failure(points: Sequence[Point]) -> Iterator[Point]:
    """Keep the counts, which are state, and replace the health of each instance by `up 0` and its TIMES."""
    for point in points:
        if point.measurement == API:
            health: Dict[str, Number] = {"up": 0, "result_code": int(Result.TIMED_OUT)}
            times = {name: value for name, value in point.fields.items() if name in TIMES}
            yield Point(API, point.tags, {**health, **times}, point.time)
        elif all(field.nature == COUNT for field in CATALOGUE[point.measurement]):
            yield point
