"""The points of a cycle from the ledger: changed hours for one kind of consumer, counters or increments for others."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from msgspec import Struct, field

from ..metrics import Number, Point
from .counters import stored_counters, update_counters
from .daily_check import DailyCheck
from .hour_planner import Account, HourPlanner
from .hour_series import HourSeries
from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, floor_hour
from .schema import write_transaction
from .watermarks import COUNTERS, HOURS, Consumer, changed_hours, delete_idle_consumers, increments

COUNTER_FIELDS = ("tokens", *FIELDS[1:])
"""The fields of a counter, in the order of FIELDS."""
MIN_BACKFILL_HOURS = 24
"""A backfill of fewer missing hours is not reported."""
FIRST_RUN = "first run: counters start at 0. If it is not the first run, state_dir was lost or changed"


class RolledBackError(Exception):
    """`commit` returned False: nothing was emitted."""


class Backfill(Struct, omit_defaults=True):
    """Whether the start of a consumer's backfill was reported, and its end was not yet."""

    reported: bool = field(name="told", default=False)


class Emitted(NamedTuple):
    """What a cycle emits from the ledger.

    `missing_hours` are over but not known; None while the project is not known. `newest_use_ms` is the end of the
    newest hour with use. `failed` describes hours that do not add up to their day: then there are no points of hours,
    and counters stay as they were. `notices` report the first run, and the start and end of a backfill.
    """

    points: List[Point]
    missing_hours: Optional[int] = None
    newest_use_ms: Optional[int] = None
    failed: str = ""
    notices: Sequence[str] = ()


def emit(
    planner: HourPlanner,
    consumer: Consumer,
    account: Account,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
    commit: Callable[[], bool],
) -> Emitted:
    """Make the points of a cycle, and store in the same transaction which changes were emitted.

    Args:
        planner: of the instance.
        consumer: receives the points.
        account: project and access key; empty fields are those of this consumer's last cycle.
        now_ms: milliseconds since 1970.
        tags: of every point, besides the project's.
        answered: whether any query succeeded. If not, no history begins and zero increments are not emitted.
        commit: called just before the transaction commits; False rolls it back.
    """
    with write_transaction(planner.store, now_ms, answered) as transaction:
        before = transaction.get(Account, consumer.name)
        account = Account(
            account.project_id or before.project_id, account.access_key_digest or before.access_key_digest
        )
        if not account.project_id:
            return Emitted([])
        if account != before:
            transaction.put(consumer.name, account)
        tags = {**tags, "project_id": account.project_id}
        failed = transaction.get(DailyCheck, account.access_key_digest).failed
        points: List[Point] = []
        missing_hours, newest = 0, 0
        hour_stores = planner.hour_stores(transaction, account)
        for series, hour_store in hour_stores.values():
            if answered:
                hour_store.begin(now_ms)
            first, end = planner.first_hours(hour_store)[0], floor_hour(now_ms)
            missing_hours += max(0, end - first) // HOUR - hour_store.total(first, end).hours
            newest = max(newest, hour_store.newest_use_end() or 0)
            points += _build_points(
                series, hour_store, consumer, first, now_ms, {**series.tags, **tags}, answered, not failed
            )
        backfill = transaction.get(Backfill, consumer.name)
        notices = _report_backfill(backfill, missing_hours, len(hour_stores))
        if notices:
            transaction.put(consumer.name, backfill)
        if all(hour_store.began_ms == now_ms for _, hour_store in hour_stores.values()):
            notices.insert(0, FIRST_RUN)
        delete_idle_consumers(transaction)
        if not commit():
            raise RolledBackError
    return Emitted(points, missing_hours, newest or None, failed, notices)


def _build_points(
    series: HourSeries,
    hour_store: HourStore,
    consumer: Consumer,
    first: int,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
    adds_up: bool,
) -> Iterator[Point]:
    before = stored_counters(hour_store)
    counters = update_counters(hour_store) if adds_up else before
    if consumer.kind == HOURS:
        if not adds_up:
            return
        for start, values, settled in changed_hours(hour_store, consumer, first):
            fields: Dict[str, Number] = {**dict(zip(FIELDS, values)), "settled": int(settled)}
            yield Point(series.hourly, tags, fields, start * 1_000_000)
        return
    emitted = counters if consumer.kind == COUNTERS else increments(hour_store, consumer, counters, before)
    if consumer.kind == COUNTERS or answered or any(emitted):
        yield Point(series.consumed, tags, dict(zip(COUNTER_FIELDS, emitted)), now_ms * 1_000_000)


def _report_backfill(backfill: Backfill, missing_hours: int, series: int) -> List[str]:
    if not backfill.reported and missing_hours >= MIN_BACKFILL_HOURS:
        backfill.reported = True
        requests = missing_hours * 6 // 5
        return [
            f"backfill: {missing_hours:,} hours of {series} series missing, about {requests:,} requests, newest first"
        ]
    if backfill.reported and not missing_hours:
        backfill.reported = False
        return ["backfill: complete"]
    return []
