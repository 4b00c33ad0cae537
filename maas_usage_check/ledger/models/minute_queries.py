"""The minutes of models: the queries of a cycle, and until when a consumer has all of them."""

from __future__ import annotations

from collections import defaultdict
from typing import ClassVar, Dict, Iterator, List, NamedTuple, Sequence

from msgspec import Struct

from ...cloud.cloud_eye import DataQuery, Dimensions
from ...cloud.cloud_eye.metric_data import max_metrics_per_query
from ..hour_values import MINUTE
from .model_list import ListedModel, ModelList
from .model_series import pack_batches

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

    def update(self, until: int, models: ModelList, missed_since: Dict[Dimensions, int]) -> None:
        """Store a cycle. Models with unanswered queries continue where those began."""
        self.until, self.list_read = until - LATE_POINTS, models.read
        self.behind = {" ".join(dimensions): at for dimensions, at in missed_since.items()}


class Batch(NamedTuple):
    """One query and its models."""

    query: DataQuery
    models: List[ListedModel]


def complete_until(now_ms: int) -> int:
    """Return the end of the newest complete minute."""
    return (now_ms - COMPLETE_AFTER) // MINUTE * MINUTE


def recent_batches(models: ModelList, until: int) -> Iterator[Batch]:
    """Yield the queries about the last minutes of all models."""
    start = until - RECENT
    for batch, metrics in pack_batches(models.present, max_metrics_per_query(RECENT // MINUTE)):
        yield Batch(DataQuery(metrics, start, until, MINUTE), batch)


def gap_batches(models: ModelList, held: HeldMinutes, until: int) -> Iterator[Batch]:
    """Yield the queries about the minutes between the held and the last ones, as far as Cloud Eye keeps them."""
    end = until - RECENT
    behind: Dict[int, List[ListedModel]] = defaultdict(list)
    for listed in models.present:
        since = max(_since(listed, held, end), until - MINUTES_RETENTION)
        if since < end:
            behind[since].append(listed)
    for since, batch_models in sorted(behind.items(), reverse=True):
        for batch, metrics in pack_batches(batch_models, max_metrics_per_query((end - since) // MINUTE)):
            yield Batch(DataQuery(metrics, since, end, MINUTE), batch)


def missed_since(unanswered: Sequence[Batch]) -> Dict[Dimensions, int]:
    """Return for each model of an unanswered query where its minutes continue."""
    found: Dict[Dimensions, int] = {}
    for batch in unanswered:
        start = batch.query.start_ms
        found.update({each.dimensions: min(start, found.get(each.dimensions, start)) for each in batch.models})
    return found


def _since(listed: ListedModel, held: HeldMinutes, otherwise: int) -> int:
    """Return where the minutes of a model continue."""
    name = " ".join(listed.dimensions)
    if name in held.behind:
        return held.behind[name]
    if 0 < held.list_read < listed.appeared:  # it appeared between two lists
        return (held.list_read - RECENT) // MINUTE * MINUTE
    return held.until or otherwise
