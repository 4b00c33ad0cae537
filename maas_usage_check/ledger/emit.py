"""What a cycle gives out of the history: changed hours to one kind of consumer, counts to the others."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from msgspec import Struct

from ..metrics import Number, Point
from .counters import counted, known_counts
from .daily_check import AddUp
from .hour_planner import Account, History
from .hour_series import HourSeries
from .hour_store import Ledger
from .hour_values import FIELDS, HOUR, floor
from .schema import open_book
from .watermarks import COUNTERS, HOURS, Consumer, changed_hours, forget_consumers, increments

COUNTS = ("tokens", *FIELDS[1:])
"""The fields of a count, in the order of FIELDS."""
MANY = 24
"""Missing hours from which on a backfill is worth a word."""
NEW = "the history of hours begins now, and counts with it at 0; if there was one before, its state was lost or moved"


class TooLateError(Exception):
    """Nobody waits for what is given out: nothing was."""


class Backfill(Struct, omit_defaults=True):
    """Remember that the beginning of a backfill was told."""

    told: bool = False


class Given(NamedTuple):
    """Hold what is given out.

    `missing` hours are over but not known, None where it is not known yet whose they are; `newest_use` is where the
    newest hour with use ends, in milliseconds; `failed` says that hours do not add up: then there are no points of
    hours, and the counts stay as they were; `news` says that a history or a backfill begins or ends.
    """

    points: List[Point]
    missing: Optional[int] = None
    newest_use: Optional[int] = None
    failed: str = ""
    news: Sequence[str] = ()


def give(
    history: History,
    consumer: Consumer,
    account: Account,
    now: int,
    tags: Dict[str, str],
    answered: bool,
    keep: Callable[[], bool],
) -> Given:
    """Make the points of a cycle, and take note in the same transaction of what was given out.

    Args:
        history: of the instance.
        consumer: who takes them.
        account: whose hours they are; what is not known of it now is as it was when this consumer last came.
        now: milliseconds since 1970.
        tags: of every point, besides the project's.
        answered: whether the cloud did. If not, no history begins and zero increments are not emitted.
        keep: asked last; when it says no, nobody waits any more, and it is as if nothing had been given out.
    """
    with open_book(history.store, now, answered) as book:
        before = book.note(Account, consumer.name)
        account = Account(account.project_id or before.project_id, account.key or before.key)
        if not account.project_id:
            return Given([])
        if account != before:
            book.keep(consumer.name, account)
        tags = {**tags, "project_id": account.project_id}
        failed = book.note(AddUp, account.key).failed
        points: List[Point] = []
        missing, newest = 0, 0
        ledgers = history.ledgers(book, account)
        for series, ledger in ledgers.values():
            if answered:
                ledger.begin(now)
            first, end = history.reach(ledger)[0], floor(now)
            missing += max(0, end - first) // HOUR - ledger.held(first, end).hours
            newest = max(newest, ledger.newest_use() or 0)
            points += _points(series, ledger, consumer, first, now, {**series.tags, **tags}, answered, not failed)
        backfill = book.note(Backfill, consumer.name)
        news = _progress(backfill, missing, len(ledgers))
        if news:
            book.keep(consumer.name, backfill)
        if all(ledger.began == now for _, ledger in ledgers.values()):
            news.insert(0, NEW)
        forget_consumers(book)
        if not keep():
            raise TooLateError
    return Given(points, missing, newest or None, failed, news)


def _points(
    series: HourSeries,
    ledger: Ledger,
    consumer: Consumer,
    first: int,
    now: int,
    tags: Dict[str, str],
    answered: bool,
    adds_up: bool,
) -> Iterator[Point]:
    before = known_counts(ledger)
    counts = counted(ledger) if adds_up else before
    if consumer.takes == HOURS:
        if not adds_up:
            return
        for start, values, settled in changed_hours(ledger, consumer, first):
            fields: Dict[str, Number] = {**dict(zip(FIELDS, values)), "settled": int(settled)}
            yield Point(series.hourly, tags, fields, start * 1_000_000)
        return
    given = counts if consumer.takes == COUNTERS else increments(ledger, consumer, counts, before)
    if consumer.takes == COUNTERS or answered or any(given):
        yield Point(series.consumed, tags, dict(zip(COUNTS, given)), now * 1_000_000)


def _progress(backfill: Backfill, missing: int, series: int) -> List[str]:
    if not backfill.told and missing >= MANY:
        backfill.told = True
        return [
            f"the hours of the past are being asked: {missing:,} hours of {series} series are missing, which takes at "
            f"most about {missing * 6 // 5:,} calls, the newest first, as far as the rate leaves room in each cycle"
        ]
    if backfill.told and not missing:
        backfill.told = False
        return ["the hours of the past are complete"]
    return []
