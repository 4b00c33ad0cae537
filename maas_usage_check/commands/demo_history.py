"""The history of `demo --serve`: hours of the simulated account, stored as cycles would have stored them."""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple, Sequence

from ..cloud import Statistics
from ..cloud.cloud_eye import HOURLY_METRICS, CloudEye, Dimensions
from ..cloud.source import HourSeries
from ..config import Instance
from ..config.ranges import ceil_hour, month_window
from ..emulator.demo import SimulatedAccount
from ..emulator.simulated_models import DELAY
from ..emulator.simulated_usage import LAG
from ..emulator.traffic import API_KEYS, HOUR
from ..ledger.compaction import OldHours, compact
from ..ledger.hour_store import HourStore
from ..ledger.model_list import ListedModel, ModelList
from ..ledger.schema import write_transaction
from ..ledger.sweep import HistoryStart, ModelSweep
from ..state import Store

MONTHS = 3
"""Whole months before the running one."""
LATER = 6 * HOUR
"""After so long every hour has arrived."""


class SimulatedSeries(NamedTuple):
    """A series, the values of the hour that begins at a time, and the end of the hours that have arrived."""

    series: HourSeries
    values: Callable[[int], Sequence[int]]
    until: int


def write_history(store: Store, instance: Instance, account: SimulatedAccount, project_id: str, now_ms: int) -> None:
    """Store the hours of three months and of the running one, as far as they have arrived, for all series."""
    start = history_start(instance, now_ms)
    with write_transaction(store, now_ms) as transaction:
        old_hours = []
        for series, values, until in simulated_series(instance, account, project_id, now_ms):
            hour_store = HourStore(transaction, series.name, series.settled_after_ms)
            hour_store.begin(start)
            hour_store.put_each([(at, tuple(values(at))) for at in range(start, until, HOUR)])
            old_hours.append(OldHours(hour_store, series.prices, series.currency))
        scope = ModelSweep(CloudEye(), instance, store, project_id, now_ms).scope
        transaction.put(scope, HistoryStart(start))
        # Read long ago: the first cycle reads it again, with the metrics of minutes.
        read = now_ms - LATER
        metrics = sorted(HOURLY_METRICS)
        listed = [ListedModel(each, metrics, start, read) for each in _dimensions(account)]
        transaction.put(scope, ModelList(read, listed))
        compact(transaction, "history", old_hours, instance.zone)


def history_start(instance: Instance, now_ms: int) -> int:
    """Return the beginning of the month three months before the running one."""
    start = month_window(now_ms, instance.zone()).start
    for _ in range(MONTHS):
        start = month_window(start - 1, instance.zone()).start
    return ceil_hour(start)


def simulated_series(
    instance: Instance, account: SimulatedAccount, project_id: str, now_ms: int
) -> Iterator[SimulatedSeries]:
    """Yield the series of the statistics, and those of models and their keys."""
    for series in Statistics().hour_series(instance, project_id):
        yield SimulatedSeries(series, _statistics_hour(account, series), ceil_hour(now_ms - LAG))
    for dimensions in _dimensions(account):
        series = CloudEye().hour_series(instance, project_id, dimensions)
        yield SimulatedSeries(series, _model_hour(account, dimensions), (now_ms - DELAY) // HOUR * HOUR)


def _statistics_hour(account: SimulatedAccount, series: HourSeries) -> Callable[[int], Sequence[int]]:
    query = series.subject
    labels = list(API_KEYS if query.api_keys is None else query.api_keys)
    return lambda at: account.usage.hour(query.service_type, query.infer_type, labels, at, at + LATER)[:5]


def _model_hour(account: SimulatedAccount, dimensions: Dimensions) -> Callable[[int], Sequence[int]]:
    model, key_id = dimensions.api_id, dimensions.key_id or None
    return lambda at: account.models.hour(model, key_id, at, at + LATER)[:5]


def _dimensions(account: SimulatedAccount) -> Iterator[Dimensions]:
    return (Dimensions(model, key_id or "") for model, key_id in account.models.series)
