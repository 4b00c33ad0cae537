"""What the last cycles got, as far as it may be shown."""

from __future__ import annotations

import math
from typing import Dict, Iterator, List, Optional, Sequence

from ...clock import Clock
from ...errors import Result
from ...metrics import API, CATALOGUE, COUNT, Number, Point
from ...metrics.freshness import fresh_points

TIMES = ("last_success_timestamp_seconds", "newest_usage_timestamp_seconds")
"""What of an instance's health stays true however old it is."""


class Latest:
    """Hold the points of the last cycles. One thread puts them in, any number may read them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._points: Optional[Sequence[Point]] = None
        self._alive_until = math.inf

    def put(self, points: Sequence[Point]) -> None:
        """Replace all that there is."""
        self._points = points

    def expect(self, until: float) -> None:
        """Say by when there will be word again, in monotonic seconds."""
        self._alive_until = until

    @property
    def is_ready(self) -> bool:
        """Tell whether the first cycle has ended."""
        return self._points is not None

    @property
    def is_alive(self) -> bool:
        """Tell whether the cycles come in time."""
        return self._clock.monotonic() <= self._alive_until

    def points(self) -> List[Point]:
        """Return what may be shown now."""
        points = self._points or ()
        return fresh_points(points, self._clock.now()) if self.is_alive else list(outdated(points))


def outdated(points: Sequence[Point]) -> Iterator[Point]:
    """Keep the counts, which are state, and say of each instance that no answer came, and when the last did."""
    for point in points:
        if point.measurement == API:
            health: Dict[str, Number] = {"up": 0, "result_code": int(Result.TIMED_OUT)}
            times = {name: value for name, value in point.fields.items() if name in TIMES}
            yield Point(API, point.tags, {**health, **times}, point.time)
        elif all(field.nature == COUNT for field in CATALOGUE[point.measurement]):
            yield point
