"""The minutes of models in one cycle: query tasks, answers and points."""

from __future__ import annotations

from functools import partial
from typing import Dict, Iterator, List, Optional, Sequence

from ...cloud.cloud_eye import METRICS, Dimensions, MetricData
from ...cloud.cloud_eye.metric_data import Values
from ...config import Instance
from ...metrics import Number, Point
from ...metrics.freshness import is_fresh
from ...scheduling import Priority
from ..query_task import QueryTask
from .minute_queries import Batch, HeldMinutes, complete_until, gap_batches, missed_since, recent_batches
from .model_list import ModelList
from .model_series import measurements_of, model_tags


class LiveMinutes:
    """Plan the queries about the minutes of listed models, and build points of the answers.

    Args:
        models: the list.
        held: until when the consumer has all minutes; None if it gets the newest minute only.
        now_ms: the cycle's time, in milliseconds.
    """

    def __init__(self, models: ModelList, held: Optional[HeldMinutes], now_ms: int) -> None:
        self._models = models
        self._held = held
        self._now_ms = now_ms
        self._until = complete_until(now_ms)
        self._values: Dict[Dimensions, Values] = {}
        self._planned = 0
        self._unanswered: List[Batch] = []
        self.warnings: List[str] = []

    def plan(self) -> Iterator[QueryTask]:
        """Yield the query tasks: the last minutes, and those since the held ones."""
        late = gap_batches(self._models, self._held, self._until) if self._held else ()
        for priority, batches in ((Priority.LIVE, recent_batches(self._models, self._until)), (Priority.GAP, late)):
            for batch in batches:
                self._planned += 1
                self._unanswered.append(batch)
                yield QueryTask((priority, 0), batch.query, partial(self._on_answer, batch))

    @property
    def is_answered(self) -> bool:
        """Return True if any query was answered, or if there is no model to query."""
        return len(self._unanswered) < self._planned or not self._planned

    def update(self, held: HeldMinutes) -> None:
        """Store until when the consumer has all minutes now."""
        held.update(self._until, self._models, missed_since(self._unanswered))

    def build_points(self, instance: Instance, tags: Dict[str, str]) -> Iterator[Point]:
        """Build a point per minute at its own time, or of the newest minute only."""
        for dimensions, minutes in list(self._values.items()):  # a copy: an answer may still arrive after the deadline
            own = {**model_tags(instance, dimensions), **tags}
            for at in sorted(minutes) if self._held else self._newest(minutes):
                fields: Dict[str, Number] = {
                    METRICS[name].field: METRICS[name].convert(value) for name, value in minutes[at].items()
                }
                yield Point(measurements_of(dimensions).minute, own, fields, at * 1_000_000)

    def _newest(self, minutes: Values) -> Sequence[int]:
        at = max(minutes, default=0)
        return [at] if is_fresh(at / 1000, self._now_ms / 1000) else []

    def _on_answer(self, batch: Batch, data: MetricData) -> Sequence[QueryTask]:
        for dimensions, minutes in data.values.items():
            known = self._values.setdefault(dimensions, {})
            for at, values in minutes.items():
                known.setdefault(at, {}).update(values)
        self.warnings += data.warnings
        self._unanswered.remove(batch)
        return ()
