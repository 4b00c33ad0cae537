"""The minutes of one cycle: what is asked of them, what was answered, and the points that come of it."""

from __future__ import annotations

from functools import partial
from typing import Dict, Iterator, List, Optional, Sequence

from ...cloud.cloud_eye import METRICS, Data, Dimensions
from ...cloud.cloud_eye.metric_data import Values
from ...config import Instance
from ...metrics import Number, Point
from ...metrics.freshness import is_fresh
from ...scheduling.priority_queue import LATE, LIVE, QueryTask
from .minute_queries import Batch, HeldMinutes, complete_until, gap_batches, missed_since, recent_batches
from .model_list import ModelList
from .model_series import measurements_of, model_tags


class LiveMinutes:
    """Ask about the minutes of the models on a list, and make points of the answers.

    Args:
        models: the list.
        held: until when the consumer has all minutes; None where the newest is all that it takes.
        now: the cycle's time, in milliseconds.
    """

    def __init__(self, models: ModelList, held: Optional[HeldMinutes], now_ms: int) -> None:
        self._models = models
        self._held = held
        self._now = now_ms
        self._until = complete_until(now_ms)
        self._values: Dict[Dimensions, Values] = {}
        self._queried = 0
        self._left: List[Batch] = []
        self.warnings: List[str] = []

    def plan(self) -> Iterator[QueryTask]:
        """List the questions: the last minutes, and those between them and what is held."""
        late = gap_batches(self._models, self._held, self._until) if self._held else ()
        for priority, batches in ((LIVE, recent_batches(self._models, self._until)), (LATE, late)):
            for batch in batches:
                self._queried += 1
                self._left.append(batch)
                yield QueryTask((priority, 0), batch.query, partial(self._on_answer, batch))

    @property
    def is_answered(self) -> bool:
        """Tell whether Cloud Eye has said anything about use; of no model at all it has nothing to say."""
        return len(self._left) < self._queried or not self._queried

    def update(self, held: HeldMinutes) -> None:
        """Take note of what is held now."""
        held.update(self._until, self._models, missed_since(self._left))

    def build_points(self, instance: Instance, tags: Dict[str, str]) -> Iterator[Point]:
        """Make a point of each minute at its own time; where the newest is all that is taken, of that one alone."""
        for dimensions, minutes in list(self._values.items()):  # an answer may still come in after the deadline
            own = {**model_tags(instance, dimensions), **tags}
            for at in sorted(minutes) if self._held else self._newest(minutes):
                fields: Dict[str, Number] = {
                    METRICS[name].field: METRICS[name].convert(value) for name, value in minutes[at].items()
                }
                yield Point(measurements_of(dimensions).minute, own, fields, at * 1_000_000)

    def _newest(self, minutes: Values) -> Sequence[int]:
        at = max(minutes, default=0)
        return [at] if is_fresh(at / 1000, self._now / 1000) else []

    def _on_answer(self, batch: Batch, data: Data) -> Sequence[QueryTask]:
        for dimensions, minutes in data.values.items():
            known = self._values.setdefault(dimensions, {})
            for at, values in minutes.items():
                known.setdefault(at, {}).update(values)
        self.warnings += data.doubts
        self._left.remove(batch)
        return ()
