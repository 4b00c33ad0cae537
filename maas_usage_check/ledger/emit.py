"""The points of a cycle: changed hours for one kind of consumer, counters or their increments for others, and cost."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, List

from msgspec.structs import replace

from ..cloud.source import HourSeries
from ..metrics import Number, Point
from ..state import Store
from .counters import stored_counters, update_counters
from .hour_store import HourStore
from .hour_values import FIELDS, ZEROS
from .planner import Account, CycleEnd, Planner, Stored
from .schema import Transaction, write_transaction
from .watermarks import COUNTERS, HOURS, Consumer, changed_hours, delete_idle_consumers, increments, is_new

HOUR_FIELDS = (*FIELDS, "settled")
COUNTER_FIELDS = ("tokens", *FIELDS[1:])
"""The fields of an hour and of a counter, in the order of FIELDS."""


class RolledBackError(Exception):
    """`commit` returned False: nothing was emitted."""


def emit(planner: Planner, store: Store, consumer: Consumer, end: CycleEnd) -> List[Point]:
    """Make the points of a cycle, and store in the same transaction which changes were emitted.

    Raise UnusableError if the state cannot be written.
    """
    points: List[Point] = []
    if not planner.has_hours:
        return points
    answered = planner.is_answered(end)
    with write_transaction(store, end.now_ms, answered) as transaction:
        account = _resolve(transaction, consumer, end.account)
        if account.project_id:
            stored = planner.stored(transaction, account, consumer, answered)
            tags = {**end.tags, "project_id": account.project_id}
            for series, hour_store, first in stored.series:
                own = {**series.tags, **tags}
                if consumer.kind != HOURS:
                    points += _counter_points(series, hour_store, consumer, stored, own, answered)
                elif not stored.is_paused:
                    update_counters(hour_store, settled_only=True)  # for a later consumer of counts
                    points += _hour_points(series, hour_store, consumer, first, own)
            if stored.budgets and not stored.is_paused:
                from .budgets import budget_points

                points += budget_points(stored.budgets, end.now_ms, tags)
            delete_idle_consumers(transaction)
        if not end.commit():
            raise RolledBackError
    return points


def read_counters(planner: Planner, store: Store, consumer: Consumer, end: CycleEnd) -> List[Point]:
    """Read the counters as the next cycle will label them; nothing is counted or stored.

    Raise UnusableError if the state cannot be written: no counter is emitted then.
    """
    points: List[Point] = []
    with contextlib.suppress(RolledBackError), write_transaction(store, end.now_ms, answered=False) as transaction:
        account = _resolve(transaction, consumer, end.account)
        if account.project_id:
            paused = planner.stored(transaction, account, consumer, False)._replace(is_paused=True)
            tags = {**end.tags, "project_id": account.project_id}
            for series, hour_store, _ in paused.series:
                if hour_store.began_ms:
                    points += _counter_points(series, hour_store, consumer, paused, {**series.tags, **tags}, True)
        raise RolledBackError
    return points


def _resolve(transaction: Transaction, consumer: Consumer, account: Account) -> Account:
    """Return the account; a part that is unknown in this cycle is as in this consumer's last one."""
    before = transaction.get(Account, consumer.name)
    project_id = account.project_id or before.project_id
    account = Account(project_id, account.access_key_digest or before.access_key_digest)
    if project_id and account != before:
        transaction.put(consumer.name, account)
    return account


def _hour_points(
    series: HourSeries, hour_store: HourStore, consumer: Consumer, first: int, tags: Dict[str, str]
) -> Iterator[Point]:
    names = series.measurements
    for hour in changed_hours(hour_store, consumer, first):
        fields: Dict[str, Number] = dict(zip(HOUR_FIELDS, (*hour.values, int(hour.settled))))
        yield Point(names.hourly, tags, fields, hour.start * 1_000_000)
    if series.prices is not None:
        from .cost_points import hour_costs

        # Costs have a watermark of their own: a price that is added later also emits the costs of earlier hours.
        hours = changed_hours(hour_store, replace(consumer, name=f"{consumer.name} cost"), first)
        yield from hour_costs(series, series.prices, hours, tags)


def _counter_points(
    series: HourSeries, hour_store: HourStore, consumer: Consumer, stored: Stored, tags: Dict[str, str], answered: bool
) -> Iterator[Point]:
    before = stored_counters(hour_store)
    counters = before if stored.is_paused else update_counters(hour_store)
    if consumer.kind == COUNTERS:
        emitted = ZEROS if stored.counts_all and is_new(hour_store, consumer) else counters
        grown = increments(hour_store, consumer, emitted, emitted)
    else:
        emitted = grown = increments(hour_store, consumer, counters, ZEROS if stored.counts_all else before)
        if not (answered or any(emitted)):
            return
    names, time_ns = series.measurements, hour_store.transaction.now_ms * 1_000_000
    yield Point(names.consumed, tags, dict(zip(COUNTER_FIELDS, emitted)), time_ns)
    if series.prices is not None:
        from .cost_points import counted_cost

        priced = ZEROS if stored.is_paused else grown  # a cost that is only read could fall again
        yield counted_cost(series, hour_store, consumer, counters, priced, tags)
