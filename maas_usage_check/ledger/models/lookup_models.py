"""Read-only lookup of the hours of models for commands: those in the ledger, and queries for the missing ones."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, DataQuery, Dimensions, Listing, MetricData
from ...cloud.cloud_eye.metric_data import max_metrics_per_query
from ...config import Instance
from ...scheduling import Priority
from ...state import Store, UnusableError
from ..hour_store import HourStore
from ..hour_values import DAY, FIELDS, HOUR, MINUTE, ZEROS, Values, add, floor_hour
from ..schema import read_transaction
from .minute_queries import COMPLETE_AFTER
from .model_list import ListedModel, ModelList, has_hours
from .model_series import pack_batches, valid_hours
from .sweep import SWEEPS, HistoryStart, ModelHourPlanner

HOURS_RETENTION = SWEEPS[Priority.BACKFILL][0] * HOUR
"""Cloud Eye keeps hours for so long."""
LISTED_FOR = 180 * MINUTE
"""Cloud Eye lists a model for so long after its last call (console manual)."""
TOTAL_TOKENS = FIELDS.index("total_tokens")


class ModelTotals(NamedTuple):
    """The use of each model in `hours`; None for a model without any known hour. Of the others, all hours are known."""

    hours: List[int]
    by_model: Dict[str, Optional[Values]]

    @property
    def is_complete(self) -> bool:
        """Return True if the hours of every model are known."""
        return None not in self.by_model.values()


class KnownModels(Struct):
    """A project's models and their known hours; `began_ms` is the start of their history, or 0.

    Times are milliseconds since 1970; an hour is given by its start.
    """

    models: ModelList
    now_ms: int
    hours: Dict[Dimensions, Dict[int, Values]] = {}
    began_ms: int = 0

    @property
    def models_without_keys(self) -> List[ListedModel]:
        """List the models without their series by key: the two overlap."""
        return [each for each in self.models.models if not each.dimensions.key_id]

    def needs_list(self, hours: Sequence[int]) -> bool:
        """Return True if a model that was used in these hours may be missing from the list."""
        return self.models.is_due(self.now_ms) and self.models.read < hours[-1] + HOUR

    def update_list(self, listing: Listing) -> None:
        """Replace the list by one that was read completely."""
        self.models.update(listing, self.now_ms)

    def missing_queries(self, hours: Sequence[int]) -> Iterator[Tuple[DataQuery, List[ListedModel]]]:
        """Yield queries for the unknown hours that Cloud Eye still keeps, each with its models."""
        oldest = floor_hour(self.now_ms) - HOURS_RETENTION
        windows: Dict[Tuple[int, int], List[ListedModel]] = defaultdict(list)
        for listed in (each for each in self.models_without_keys if has_hours(each.metrics)):
            unknown = [at for at in hours if at >= oldest and not self._knows(listed, at)]
            if unknown:
                windows[unknown[0], unknown[-1] + HOUR].append(listed)
        for (start, until), models in windows.items():
            for batch, metrics in pack_batches(models, max_metrics_per_query((until - start) // HOUR), HOURLY_METRICS):
                yield DataQuery(metrics, start, until, HOUR), batch

    def on_answer(self, query: DataQuery, batch: Sequence[ListedModel], data: MetricData) -> None:
        """Store the hours of an answer. A model with a rejected value stays unknown: its hours may be incomplete."""
        for dimensions in (each.dimensions for each in batch):
            if dimensions in data.invalid:
                continue
            known = self.hours.get(dimensions, {})
            self.hours[dimensions] = {**dict(valid_hours(query, data, dimensions)), **known}

    def totals(self, hours: Sequence[int]) -> ModelTotals:
        """Add up the hours that are known of every model; a model without any known hour has no total."""
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
        """Return the tokens of all models by hour; empty if a model is not known."""
        sums = self.totals(hours)
        if not sums.is_complete:
            return {}
        return {
            at: sum(self._of(each.dimensions, at)[TOTAL_TOKENS] for each in self.models_without_keys)
            for at in sums.hours
        }

    @property
    def list_complete_since(self) -> int:
        """Return the time since which every called model was on a list."""
        return (self.began_ms or self.now_ms) - LISTED_FOR

    def _knows(self, listed: ListedModel, at: int) -> bool:
        if at in self.hours.get(listed.dimensions, {}):
            return True
        # Too old to be queried, but a model that was on no list of those days was not used.
        new = 0 < self.began_ms < listed.appeared and at < floor_hour(listed.appeared) - HOURS_RETENTION
        gone = self.began_ms > 0 and listed.seen + DAY <= at < floor_hour(self.now_ms) - HOURS_RETENTION
        return new or gone

    def _of(self, dimensions: Dimensions, at: int) -> Values:
        return self.hours.get(dimensions, {}).get(at, ZEROS)


def complete_hours_until(now_ms: int) -> int:
    """Return the end of the newest hour that is complete in Cloud Eye."""
    return floor_hour(now_ms - COMPLETE_AFTER)


def lookup_models(instance: Instance, store: Store, project_id: str, hours: Sequence[int], now_ms: int) -> KnownModels:
    """Look up the models, and those of these hours that are known and final; without a ledger there are none.

    Args:
        instance: the configured instance.
        store: the state.
        project_id: of the instance.
        hours: their starts in ascending order, in milliseconds.
        now_ms: milliseconds since 1970.
    """
    planner = ModelHourPlanner(instance, store, project_id)
    with store.entry(ModelList, planner.project_scope) as models:
        known = KnownModels(models, now_ms)
    try:
        with read_transaction(store, now_ms) as transaction:
            known.began_ms = transaction.get(HistoryStart, planner.project_scope).at
            for listed in known.models_without_keys:
                hour_store = HourStore.find(transaction, planner.series_name(listed))
                if hour_store is not None:
                    stored = hour_store.hours(hours[0], hours[-1] + HOUR)
                    known.hours[listed.dimensions] = {hour.start: hour.values for hour in stored if hour.settled}
    except UnusableError:
        return KnownModels(models, now_ms)
    return known
