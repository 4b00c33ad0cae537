"""Which models and keys there are: the list of metrics, remembered for an hour, and what was on it in the last days."""

from __future__ import annotations

from typing import ClassVar, Dict, Iterable, List

from msgspec import Struct

from ...cloud.cloud_eye import Dimensions, Listing
from ...cloud.cloud_eye.metric_list import MOST_UNKNOWN
from ..hour_values import DAY, HOUR, RETENTION

QUERIED_FOR = 10 * DAY
"""After a model was last listed its hours are asked so long: as far back as Cloud Eye tells hours."""
USABLE_FOR = 3 * HOUR
"""A list that cannot be read again serves so long."""
REMEMBERED_FOR = RETENTION
"""After a model was last listed it is known so long: the ledger has hours of it, without which sums would be less."""
REQUIRED_METRICS = frozenset({"total_tokens", "prompt_tokens", "completion_tokens", "rpm"})
"""Without one of them nothing is said of a model's hours. A class of errors that never came may not be listed."""


def has_hours(metrics: Iterable[str]) -> bool:
    """Tell whether hours can be told of a model with these metrics."""
    return REQUIRED_METRICS.issubset(metrics)


class ListedModel(Struct):
    """Hold one model, or one key of it, with its metrics; `appeared` and `seen` are when a list first and last had it.

    A model that was gone appears anew.
    """

    dimensions: Dimensions
    metrics: List[str]
    appeared: int
    seen: int


class ModelList(Struct, omit_defaults=True):
    """Remember the list of a project; `read` is when it was last read whole, in milliseconds."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    read: int = 0
    models: List[ListedModel] = []
    unknown: List[str] = []

    def merge(self, unwritten: ModelList) -> ModelList:
        """Take the newer one."""
        return max(self, unwritten, key=lambda one: one.read)

    def is_due(self, now_ms: int) -> bool:
        """Tell whether it is time to read it again."""
        return not 0 <= now_ms - self.read < HOUR

    def is_usable(self, now_ms: int) -> bool:
        """Tell whether it serves where it cannot be read again."""
        return 0 <= now_ms - self.read < USABLE_FOR

    @property
    def present(self) -> List[ListedModel]:
        """List what the last list had."""
        return [each for each in self.models if each.seen == self.read]

    def lacks(self, listing: Listing) -> bool:
        """Tell whether a list lacks a model that the last one had, or what its hours need."""
        return any(
            has_hours(each.metrics) and not has_hours(listing.metrics.get(each.dimensions, ()))
            for each in self.present
            if not each.dimensions.key_id
        )

    def update(self, listing: Listing, now_ms: int) -> List[str]:
        """Take a list that was read whole; return the ids on it that have no place here and were on none before."""
        before = {each.dimensions: each for each in self.models}
        present = {each.dimensions for each in self.present}
        models: Dict[Dimensions, ListedModel] = {}
        for dimensions, metrics in listing.metrics.items():
            appeared = before[dimensions].appeared if dimensions in present else now_ms
            models[dimensions] = ListedModel(dimensions, sorted(set(metrics)), appeared, now_ms)
        gone = [each for each in self.models if each.dimensions not in models and each.seen > now_ms - REMEMBERED_FOR]
        new = [name for name in listing.unknown if name not in self.unknown][: MOST_UNKNOWN - len(self.unknown)]
        self.models = [*models.values(), *gone]
        self.unknown = [*self.unknown, *new]
        self.read = now_ms
        return new
