"""How the budgets of a month stand, for a command: computed as those of a cycle."""

from __future__ import annotations

from typing import Iterator, List, Tuple

from ..cloud import Statistics
from ..cloud.cloud_eye import CloudEye
from ..config import Instance
from ..config.ranges import Window
from ..state import Store
from .budgets import COST, TOKENS, Budget, Member, Status, find_budgets, status
from .hour_store import HourStore, series_ids
from .hour_values import DAY
from .model_list import ModelList
from .schema import Transaction, read_transaction
from .sweep import ModelSweep


def read_budgets(
    store: Store, instance: Instance, project_id: str, month: Window, now_ms: int
) -> List[Tuple[Budget, Status]]:
    """Return the budgets of an instance in a month. Raise UnusableError if the ledger cannot be read."""
    with read_transaction(store, now_ms) as transaction:
        statistics = list(statistics_members(transaction, instance, project_id))
        models = list(model_members(transaction, store, instance, project_id, month.start - DAY))
        budgets = [
            *find_budgets(instance, TOKENS, month, statistics),
            *(find_budgets(instance, COST, month, models) if instance.prices else ()),
        ]
        return [(budget, status(budget, now_ms)) for budget in budgets]


def statistics_members(transaction: Transaction, instance: Instance, project_id: str) -> Iterator[Member]:
    """Yield the service types, and the labels of each."""
    ids = series_ids(transaction)
    for series in Statistics().hour_series(instance, project_id):
        yield Member(series, HourStore(transaction, series.name, series.settled_after_ms, ids))


def model_members(
    transaction: Transaction, store: Store, instance: Instance, project_id: str, since_ms: int
) -> Iterator[Member]:
    """Yield the models, and the models by key, that were listed since a time."""
    sweep = ModelSweep(CloudEye(), instance, store, project_id, transaction.now_ms)
    models, began, ids = transaction.get(ModelList, sweep.scope), sweep.began_ms(transaction), series_ids(transaction)
    for listed in models.with_hours(since_ms):
        series = sweep.series(listed)
        hour_store = HourStore(transaction, series.name, series.settled_after_ms, ids)
        yield Member(series, hour_store, models.unused(listed, began))
