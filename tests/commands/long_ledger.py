"""A ledger of months: what cycles would have stored, from the emulator's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Sequence, Tuple

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import HOURLY_METRICS, CloudEye, Dimensions
from maas_usage_check.cloud.source import HourSeries
from maas_usage_check.config import Instance, load_file
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.ledger.compaction import OldHours, compact
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.model_list import ListedModel, ModelList
from maas_usage_check.ledger.schema import write_transaction
from maas_usage_check.ledger.sweep import HistoryStart, ModelSweep
from maas_usage_check.state import Store

from .conftest import Report

HOUR = 3_600_000
DAY = 24 * HOUR


class Source(NamedTuple):
    """A series, and the cloud's values of an hour, once it is final."""

    series: HourSeries
    values: Callable[[int], Sequence[int]]


class LongLedger:
    """The ledger of a report's instance, whose `state_dir` is the folder."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report = report
        self._store = Store(lambda: str(folder / "maas-usage-check.sqlite3"), pytest.fail)

    @property
    def instance(self) -> Instance:
        return load_file(self._report.config(), self._report.cloud.emulator.now())[0]

    def fill(self, start: int, until: int, is_known: Callable[[int], bool] = lambda at: True) -> None:
        """Store the known hours of all series in a window, each as it was 5 hours later."""
        self._list_models(start, until)
        with write_transaction(self._store, until + 5 * HOUR) as transaction:
            for series, values in self.sources():
                hour_store = HourStore(transaction, series.name, series.settled_after_ms)
                hour_store.begin(start)
                hour_store.put_each([(at, tuple(values(at))) for at in range(start, until, HOUR) if is_known(at)])

    def compact(self, now: int) -> None:
        """Do what a cycle does with hours of 62 days before, in the zone and at the prices of the file."""
        with write_transaction(self._store, now) as transaction:
            hours = [
                OldHours(HourStore(transaction, each.name, each.settled_after_ms), each.prices, each.currency)
                for each, _ in self.sources()
            ]
            compact(transaction, "test", hours, self.instance.zone)

    def id_of(self, model: str, key: str) -> int:
        """Return the id of a model and key in the state."""
        name = CloudEye().hour_series(self.instance, PROJECT_ID, Dimensions(model, key)).name
        with write_transaction(self._store, 0) as transaction:
            return HourStore(transaction, name, 0).id

    def sources(self) -> Iterator[Source]:
        """List the series of the statistics, and of models and their keys."""
        cloud, instance = self._report.cloud.emulator, self.instance

        def of_statistics(series: HourSeries) -> Source:
            query = series.subject
            labels = list(API_KEYS if query.api_keys is None else query.api_keys)
            return Source(
                series, lambda at: cloud.usage.hour(query.service_type, query.infer_type, labels, at, at + 6 * HOUR)[:5]
            )

        def of_model(model: str, key: object) -> Source:
            dimensions = Dimensions(model, key or "")
            series = CloudEye().hour_series(instance, PROJECT_ID, dimensions)
            return Source(series, lambda at: cloud.models.hour(model, key or None, at, at + 6 * HOUR)[:5])

        yield from map(of_statistics, Statistics().hour_series(instance, PROJECT_ID))
        if instance.models:
            yield from (of_model(*each) for each in cloud.models.series)

    def _list_models(self, start: int, until: int) -> None:
        if not self.instance.models:
            return
        scope = ModelSweep(CloudEye(), self.instance, self._store, PROJECT_ID, until).scope
        with write_transaction(self._store, until) as transaction:
            listed: List[ListedModel] = [
                ListedModel(Dimensions(model, key or ""), sorted(HOURLY_METRICS), start, until)
                for model, key in self._report.cloud.emulator.models.series
            ]
            transaction.put(scope, ModelList(until, listed))
            if not transaction.get(HistoryStart, scope).at:
                transaction.put(scope, HistoryStart(start))


def truth(sources: Sequence[Source], start: int, until: int) -> Tuple[int, ...]:
    """Add up the cloud's hours of some series."""
    return tuple(map(sum, zip(*(source.values(at) for source in sources for at in range(start, until, HOUR)))))
