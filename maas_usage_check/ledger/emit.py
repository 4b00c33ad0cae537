"""What a cycle gives out of the history: changed hours to one kind of consumer, counts to the others."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from msgspec import Struct

from ..metrics import Number, Point
from .counters import stored_counters, update_counters
from .daily_check import DailyCheck
from .hour_planner import Account, HourPlanner
from .hour_series import HourSeries
from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, floor_hour
from .schema import write_transaction
from .watermarks import COUNTERS, HOURS, Consumer, changed_hours, delete_idle_consumers, increments

COUNTS = ("tokens", *FIELDS[1:])
"""The fields of a count, in the order of FIELDS."""
MANY = 24
"""Missing hours from which on a backfill is worth a word."""
NEW = "the history of hours begins now, and counts with it at 0; if there was one before, its state was lost or moved"


class RolledBackError(Exception):
    """Nobody waits for what is given out: nothing was."""


class Backfill(Struct, omit_defaults=True):
    """Remember that the beginning of a backfill was told."""

    told: bool = False


class Emitted(NamedTuple):
    """Hold what is given out.

    `missing` hours are over but not known, None where it is not known yet whose they are; `newest_use` is where the
    newest hour with use ends, in milliseconds; `failed` says that hours do not add up: then there are no points of
    hours, and the counts stay as they were; `news` says that a history or a backfill begins or ends.
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
        consumer: who takes them.
        account: whose hours they are; what is not known of it now is as it was when this consumer last came.
        now_ms: milliseconds since 1970.
        tags: of every point, besides the project's.
        answered: whether the cloud did. If not, no history begins and zero increments are not emitted.
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
            newest = max(newest, hour_store.newest_use() or 0)
            points += _points(
                series, hour_store, consumer, first, now_ms, {**series.tags, **tags}, answered, not failed
            )
        backfill = transaction.get(Backfill, consumer.name)
        notices = _progress(backfill, missing_hours, len(hour_stores))
        if notices:
            transaction.put(consumer.name, backfill)
        if all(hour_store.began_ms == now_ms for _, hour_store in hour_stores.values()):
            notices.insert(0, NEW)
        delete_idle_consumers(transaction)
        if not commit():
            raise RolledBackError
    return Emitted(points, missing_hours, newest or None, failed, notices)


def _points(
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
    counts = update_counters(hour_store) if adds_up else before
    if consumer.kind == HOURS:
        if not adds_up:
            return
        for start, values, settled in changed_hours(hour_store, consumer, first):
            fields: Dict[str, Number] = {**dict(zip(FIELDS, values)), "settled": int(settled)}
            yield Point(series.hourly, tags, fields, start * 1_000_000)
        return
    emitted = counts if consumer.kind == COUNTERS else increments(hour_store, consumer, counts, before)
    if consumer.kind == COUNTERS or answered or any(emitted):
        yield Point(series.consumed, tags, dict(zip(COUNTS, emitted)), now_ms * 1_000_000)


def _progress(backfill: Backfill, missing_hours: int, series: int) -> List[str]:
    if not backfill.told and missing_hours >= MANY:
        backfill.told = True
        return [
            f"the hours of the past are being asked: {missing_hours:,} hours of {series} series are missing, which "
            f"takes at most about {missing_hours * 6 // 5:,} calls, the newest first, as far as the rate leaves room "
            "in each cycle"
        ]
    if backfill.told and not missing_hours:
        backfill.told = False
        return ["the hours of the past are complete"]
    return []
