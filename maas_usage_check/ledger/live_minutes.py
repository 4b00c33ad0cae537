"""The minutes of models in one cycle: queries, answers and points, and until when a consumer has all of them."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct

from ..cloud.cloud_eye import METRICS, CloudEye, DataQuery, Dimensions, MetricData, model_tags
from ..cloud.cloud_eye.metric_data import Values
from ..config import Instance
from ..metrics import MODEL, MODEL_KEY, Number, Point
from ..metrics.points import is_fresh
from ..scheduling import Priority
from .hour_values import MINUTE
from .model_list import ListedModel, ModelList
from .planner import QueryTask

if TYPE_CHECKING:
    from ..config.teams import Limit

COMPLETE_AFTER = 5 * MINUTE
"""A minute counts as complete so long after its end; how late its points arrive is not known."""
LATE_POINTS = 8 * MINUTE
"""Points may arrive so much later: for so long, a queried minute does not count as held."""
RECENT = 15 * MINUTE
"""Queried again in each cycle, because of late points."""
MINUTES_RETENTION = 240 * MINUTE
"""Cloud Eye keeps minutes for so long."""


class HeldMinutes(Struct, omit_defaults=True):
    """Until when a consumer has all minutes, in milliseconds, and the models that are `behind` that, with their time.

    `list_read` is when the list of those models was read. A model's name is its dimensions, separated by a space.
    """

    max_age_s: ClassVar[float] = 2 * 86_400.0

    until: int = 0
    list_read: int = 0
    behind: Dict[str, int] = {}

    def since(self, listed: ListedModel, otherwise: int) -> int:
        """Return where the minutes of a model continue."""
        name = " ".join(listed.dimensions)
        if name in self.behind:
            return self.behind[name]
        if 0 < self.list_read < listed.appeared:  # it appeared between two lists
            return (self.list_read - RECENT) // MINUTE * MINUTE
        return self.until or otherwise


class Batch(NamedTuple):
    """One query and its models."""

    query: DataQuery
    models: List[ListedModel]


class LiveMinutes:
    """Plan the queries about the minutes of listed models, and build points of the answers.

    Args:
        source: answers minutes.
        models: the list.
        held: until when the consumer has all minutes; None if it gets the newest minute only.
        now_ms: the cycle's time, in milliseconds.
    """

    def __init__(self, source: CloudEye, models: ModelList, held: Optional[HeldMinutes], now_ms: int) -> None:
        self._source = source
        self._models = models
        self._held = held
        self._now_ms = now_ms
        self._until = (now_ms - COMPLETE_AFTER) // MINUTE * MINUTE
        self._values: Dict[Dimensions, Values] = {}
        self._planned = 0
        self._unanswered: List[Batch] = []
        self.warnings: List[str] = []

    def plan(self) -> Iterator[QueryTask]:
        """Yield the query tasks: the last minutes, and those since the held ones."""
        for priority, batch in (*self._recent_batches(), *self._gap_batches()):
            self._planned += 1
            self._unanswered.append(batch)
            yield QueryTask((priority, 0), batch.query, partial(self._on_answer, batch))

    @property
    def is_answered(self) -> bool:
        """Return True if any query was answered, or if there is no model to query."""
        return len(self._unanswered) < self._planned or not self._planned

    def update(self, held: HeldMinutes) -> None:
        """Store until when the consumer has all minutes. Models of unanswered queries continue where those began."""
        missed: Dict[str, int] = {}
        for query, models in self._unanswered:
            for name in (" ".join(each.dimensions) for each in models):
                missed[name] = min(query.start_ms, missed.get(name, query.start_ms))
        held.until, held.list_read, held.behind = self._until - LATE_POINTS, self._models.read, missed

    def build_points(self, instance: Instance, tags: Dict[str, str]) -> Iterator[Point]:
        """Build a point per minute at its own time, or of the newest minute only."""
        for dimensions, minutes in list(self._values.items()):  # a copy: an answer may still arrive after the deadline
            of_model = model_tags(instance, dimensions)
            own = {**of_model, **tags}
            limit = instance.limits.get(of_model["maas_api_id"]) or instance.limits.get(of_model["model"])
            for at in sorted(minutes) if self._held else self._newest(minutes):
                fields: Dict[str, Number] = {
                    METRICS[name].field: METRICS[name].convert(value) for name, value in minutes[at].items()
                }
                if limit:
                    fields.update(_limit_ratios(fields, limit))
                yield Point(MODEL_KEY if dimensions.key_id else MODEL, own, fields, at * 1_000_000)

    def _recent_batches(self) -> Iterator[Tuple[Priority, Batch]]:
        """Yield the queries about the last minutes of all models."""
        for query, batch in self._source.data_queries(self._models.present, self._until - RECENT, self._until, MINUTE):
            yield Priority.LIVE, Batch(query, batch)

    def _gap_batches(self) -> Iterator[Tuple[Priority, Batch]]:
        """Yield the queries about the minutes between the held and the last ones, as far as Cloud Eye keeps them."""
        if self._held is None:
            return
        end = self._until - RECENT
        behind: Dict[int, List[ListedModel]] = defaultdict(list)
        for listed in self._models.present:
            since = max(self._held.since(listed, end), self._until - MINUTES_RETENTION)
            if since < end:
                behind[since].append(listed)
        for since, models in sorted(behind.items(), reverse=True):
            for query, batch in self._source.data_queries(models, since, end, MINUTE):
                yield Priority.GAP, Batch(query, batch)

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


def _limit_ratios(fields: Mapping[str, Number], limit: Limit) -> Iterator[Tuple[str, float]]:
    """Divide the fields of a minute by the model's limits; without the field or the limit there is no ratio."""
    for name, most in (("requests", limit.rpm), ("tokens", limit.tpm)):
        if most is not None and f"{name}_per_minute" in fields:
            yield f"{name}_limit_ratio", fields[f"{name}_per_minute"] / most
