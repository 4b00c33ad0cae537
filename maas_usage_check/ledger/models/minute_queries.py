"""The minutes of models: which to ask in a cycle, and from when on they are held without a gap."""

from __future__ import annotations

from collections import defaultdict
from typing import ClassVar, Dict, Iterator, List, NamedTuple, Sequence

from msgspec import Struct

from ...cloud.cloud_eye import DataQuery, Dimensions
from ...cloud.cloud_eye.metric_data import most_metrics
from ..hour_values import MINUTE
from .model_list import ListedModel, ModelList
from .model_series import pack_batches

COMPLETE_AFTER = 5 * MINUTE
"""After its end a minute counts as complete; how late its points come is not known."""
LATE_POINTS = 8 * MINUTE
"""How much later late points may have filled in: so long a minute that was asked does not count as held."""
RECENT = 15 * MINUTE
"""Asked again in each cycle, for late points fill in."""
MINUTES_RETENTION = 240 * MINUTE
"""How far back Cloud Eye tells minutes."""


class HeldMinutes(Struct, omit_defaults=True):
    """Remember for one consumer until when it has all minutes, in milliseconds, and which models are behind that.

    `list_read` is when the list was read that was asked by. Models are named by their dimensions, joined.
    """

    max_age_s: ClassVar[float] = 2 * 86_400.0

    until: int = 0
    list_read: int = 0
    behind: Dict[str, int] = {}

    def merge(self, unwritten: HeldMinutes) -> HeldMinutes:
        """Take the newer one."""
        return max(self, unwritten, key=lambda one: one.until)

    def update(self, until: int, models: ModelList, missed_since: Dict[Dimensions, int]) -> None:
        """Take note of a cycle: what was missed goes on from where it was."""
        self.until, self.list_read = until - LATE_POINTS, models.read
        self.behind = {" ".join(dimensions): at for dimensions, at in missed_since.items()}


class Batch(NamedTuple):
    """Hold one question, and which models it is about."""

    query: DataQuery
    models: List[ListedModel]


def complete_until(now_ms: int) -> int:
    """Tell where the newest complete minute ends."""
    return (now_ms - COMPLETE_AFTER) // MINUTE * MINUTE


def recent_batches(models: ModelList, until: int) -> Iterator[Batch]:
    """Ask about the last minutes of all models."""
    start = until - RECENT
    for batch, metrics in pack_batches(models.present, most_metrics(RECENT // MINUTE)):
        yield Batch(DataQuery(metrics, start, until, MINUTE), batch)


def gap_batches(models: ModelList, held: HeldMinutes, until: int) -> Iterator[Batch]:
    """Ask about the minutes between those that are held and the last ones, as far back as they are told."""
    end = until - RECENT
    behind: Dict[int, List[ListedModel]] = defaultdict(list)
    for listed in models.present:
        since = max(_since(listed, held, end), until - MINUTES_RETENTION)
        if since < end:
            behind[since].append(listed)
    for since, batch_models in sorted(behind.items(), reverse=True):
        for batch, metrics in pack_batches(batch_models, most_metrics((end - since) // MINUTE)):
            yield Batch(DataQuery(metrics, since, end, MINUTE), batch)


def missed_since(left: Sequence[Batch]) -> Dict[Dimensions, int]:
    """Tell of what was not answered where its minutes go on."""
    found: Dict[Dimensions, int] = {}
    for batch in left:
        start = batch.query.start
        found.update({each.dimensions: min(start, found.get(each.dimensions, start)) for each in batch.models})
    return found


def _since(listed: ListedModel, held: HeldMinutes, otherwise: int) -> int:
    """Tell where the minutes of a model go on."""
    name = " ".join(listed.dimensions)
    if name in held.behind:
        return held.behind[name]
    if 0 < held.list_read < listed.appeared:  # it came while the list was remembered
        return (held.list_read - RECENT) // MINUTE * MINUTE
    return held.until or otherwise
