"""A look at the hours of models for people, which changes nothing: what the ledger holds, and what is asked besides."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, Data, DataQuery, Dimensions, Listing
from ...cloud.cloud_eye.metric_data import most_metrics
from ...config import Instance
from ...scheduling.priority_queue import BACKFILL
from ...state import Store, UnusableError
from ..hour_store import HourStore
from ..hour_values import DAY, FIELDS, HOUR, MINUTE, ZEROS, Values, add, floor_hour
from ..schema import read_transaction
from .minute_queries import COMPLETE_AFTER
from .model_list import ListedModel, ModelList, has_hours
from .model_series import pack_batches, valid_hours
from .sweep import SWEEPS, Began, ModelHourPlanner

HOURS_RETENTION = SWEEPS[BACKFILL][0] * HOUR
"""How far back Cloud Eye tells hours."""
LISTED_FOR = 180 * MINUTE
"""After its last call a model is listed so long (console manual)."""
TOTAL = FIELDS.index("total_tokens")


class ModelTotals(NamedTuple):
    """Hold what models used in hours that are known of all of them: None for one of which no hour is."""

    hours: List[int]
    by_model: Dict[str, Optional[Values]]

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is missing in these hours."""
        return None not in self.by_model.values()


class KnownModels(Struct):
    """Hold what is known of a project's models and their hours; `began` is when their history did, if ever.

    Times are milliseconds since 1970, hours their beginnings; `now` is the moment of the look.
    """

    models: ModelList
    now_ms: int
    hours: Dict[Dimensions, Dict[int, Values]] = {}
    began: int = 0

    @property
    def models_without_keys(self) -> List[ListedModel]:
        """List the models, without the parts of them by key: the two overlap."""
        return [each for each in self.models.models if not each.dimensions.key_id]

    def needs_list(self, hours: Sequence[int]) -> bool:
        """Tell whether the list may lack a model that was used in these hours."""
        return self.models.is_due(self.now_ms) and self.models.read < hours[-1] + HOUR

    def update_list(self, listing: Listing) -> None:
        """Take a list that was read whole."""
        self.models.update(listing, self.now_ms)

    def missing_queries(self, hours: Sequence[int]) -> Iterator[Tuple[DataQuery, List[ListedModel]]]:
        """List what to ask about hours that are not known, as far back as they are told, and of which models it is."""
        oldest = floor_hour(self.now_ms) - HOURS_RETENTION
        spans: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed in (each for each in self.models_without_keys if has_hours(each.metrics)):
            lacking = [at for at in hours if at >= oldest and not self._knows(listed, at)]
            if lacking:
                spans[lacking[0], lacking[-1] + HOUR].append(listed)
        for (start, until), models in spans.items():
            for batch, metrics in pack_batches(models, most_metrics((until - start) // HOUR), HOURLY_METRICS):
                yield DataQuery(metrics, start, until, HOUR), batch

    def on_answer(self, query: DataQuery, batch: Sequence[ListedModel], data: Data) -> None:
        """Take what was answered; half of an hour would be a wrong hour, so that what is doubted stays unknown."""
        for dimensions in (each.dimensions for each in batch):
            if dimensions in data.doubted:
                continue
            held = self.hours.get(dimensions, {})
            self.hours[dimensions] = {**dict(valid_hours(query, data, dimensions)), **held}

    def totals(self, hours: Sequence[int]) -> ModelTotals:
        """Add up the hours that are known of all models, but for those of which none is."""
        known: Dict[Dimensions, Set[int]] = {
            each.dimensions: {at for at in hours if self._knows(each, at)} for each in self.models_without_keys
        }
        some = [own for own in known.values() if own]
        common = sorted(set.intersection(*some)) if some else []
        return ModelTotals(
            common,
            {
                dimensions.api_id: reduce(add, (self._of(dimensions, at) for at in common), ZEROS) if own else None
                for dimensions, own in known.items()
            },
        )

    def tokens_by_hour(self, hours: Sequence[int]) -> Dict[int, int]:
        """Tell how many tokens all models used in each hour; nothing where one of them is not known."""
        sums = self.totals(hours)
        if not sums.is_whole:
            return {}
        return {at: sum(self._of(each.dimensions, at)[TOTAL] for each in self.models_without_keys) for at in sums.hours}

    @property
    def list_complete_since(self) -> int:
        """Tell since when each model that was called is known."""
        return (self.began or self.now_ms) - LISTED_FOR

    def _knows(self, listed: ListedModel, at: int) -> bool:
        if at in self.hours.get(listed.dimensions, {}):
            return True
        # What cannot be asked any more is known of a model all the same, where the lists of those days lack it.
        new = 0 < self.began < listed.appeared and at < floor_hour(listed.appeared) - HOURS_RETENTION
        gone = self.began > 0 and listed.seen + DAY <= at < floor_hour(self.now_ms) - HOURS_RETENTION
        return new or gone

    def _of(self, dimensions: Dimensions, at: int) -> Values:
        return self.hours.get(dimensions, {}).get(at, ZEROS)


def complete_hours_until(now_ms: int) -> int:
    """Tell where the newest hour ends that Cloud Eye can tell whole."""
    return floor_hour(now_ms - COMPLETE_AFTER)


def lookup_models(instance: Instance, store: Store, project_id: str, hours: Sequence[int], now_ms: int) -> KnownModels:
    """Look up the models, and which of these hours (in their order) are held and final; where there is none, nothing.

    Args:
        instance: whose models they are.
        store: where the ledger is.
        project_id: the instance's.
        hours: their beginnings, in milliseconds.
        now_ms: milliseconds since 1970.
    """
    hour_stores = ModelHourPlanner(instance, store, project_id)
    with store.entry(ModelList, hour_stores.project_scope) as models:
        known = KnownModels(models, now_ms)
    try:
        with read_transaction(store, now_ms) as transaction:
            known.began = transaction.get(Began, hour_stores.project_scope).at
            for listed in known.models_without_keys:
                hour_store = HourStore.find(transaction, hour_stores.name(listed))
                if hour_store is not None:
                    held = hour_store.hours(hours[0], hours[-1] + HOUR)
                    known.hours[listed.dimensions] = {hour.start: hour.values for hour in held if hour.settled}
    except UnusableError:
        return KnownModels(models, now_ms)
    return known
