"""The planner of a source that answers totals of windows, such as ShowStatistics."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Protocol, Sequence, Set, Tuple

from msgspec import Struct, field

from ..cloud import Api
from ..cloud.source import HourSeries
from ..config import Instance
from ..config.ranges import month_window
from ..errors import Problem
from ..metrics import Number
from ..scheduling import Priority
from ..state import Store
from . import bisect
from .bisect import PendingWindow
from .compaction import OldHours, compact, is_due
from .daily_check import DailyCheck
from .hour_store import HourStore
from .hour_values import DAY, HOUR, floor_hour, oldest_hour, usage_values
from .planner import Account, CycleEnd, PartialBatch, QueryTask, Stored, Texts
from .schema import Transaction, write_transaction
from .watermarks import Consumer

if TYPE_CHECKING:
    from .budgets import Budget

MIN_BACKFILL_HOURS = 24
"""A backfill of fewer missing hours is not reported."""
FIRST_RUN = "first run: counters start at 0. If it is not the first run, state_dir was lost or changed"
NOT_BELIEVED = "hours and counts are paused and checked again in an hour; report it if it lasts"


class TotalsSource(Api, Protocol):
    """A source of totals; its answers have a `usage`."""

    def hour_series(self, instance: Instance, project_id: str) -> Sequence[HourSeries]:
        """List the series of an instance."""

    def hours_query(self, series: HourSeries, start_ms: int, until_ms: int) -> Any:
        """Make the query of a window of full hours."""


class Backfill(Struct, omit_defaults=True):
    """Whether the start of a consumer's backfill was reported, and its end was not yet."""

    reported: bool = field(name="told", default=False)


class BisectPlanner:
    """Plan the queries about an instance's hours in one cycle, and store the answers; see Planner.

    Args:
        source: answers totals.
        instance: whose hours.
        store: the state.
        now_ms: the cycle's time, milliseconds since 1970.
    """

    texts = Texts(
        "hours", "", "some hours were not queried", "Some hours were not queried", "Hours and counters are paused"
    )

    has_hours = True

    def __init__(self, source: TotalsSource, instance: Instance, store: Store, now_ms: int) -> None:
        self.source = source
        self._instance = instance
        self._store = store
        self._now_ms = now_ms
        self._queried: Set[int] = set()
        self._failed = ""
        self._notices: List[str] = []
        self._health: Dict[str, Number] = {}

    def plan(self, account: Account, answered: bool) -> Sequence[QueryTask]:
        """List the query tasks of a cycle. While hours do not add up to their day, only the daily check is queried."""
        if not answered:
            return ()
        with write_transaction(self._store, self._now_ms) as transaction:
            series = {each.name: each for each in self.source.hour_series(self._instance, account.project_id)}
            hour_stores = {name: _open(transaction, each) for name, each in series.items()}
            check = transaction.get(DailyCheck, account.access_key_digest)
            is_checking = check.start(hour_stores, oldest_hour(self._now_ms), self._now_ms)
            transaction.put(account.access_key_digest, check)
            tasks = [self._check_task(account, check, series[check.series])] if is_checking else []
            if check.failed:
                return tasks
            queried_at: Dict[int, int] = dict(transaction.select("SELECT id, asked FROM series"))
            for name, hour_store in hour_stores.items():
                due = bisect.plan_windows(hour_store, hour_store.first_hours(self._backfill_ms)[1])
                for window in bisect.pending_windows(hour_store):
                    is_due = window in due
                    priority = (Priority.RECENT, queried_at[hour_store.id]) if is_due else _priority(hour_store, window)
                    tasks.append(self._query_task(series[name], window, priority))
            return tasks

    def finish(self) -> Sequence[str]:
        """Store which series were queried: the others go first in the next cycle."""
        if self._queried:
            with write_transaction(self._store, self._now_ms) as transaction:
                rows = [(transaction.advance_logical_clock(), each) for each in self._queried]
                transaction.run_many("UPDATE series SET asked = ? WHERE id = ?", rows)
        return ()

    def is_answered(self, end: CycleEnd) -> bool:
        """Return whether any query for ranges or hours succeeded."""
        return end.answered or None in end.ends

    def stored(self, transaction: Transaction, account: Account, consumer: Consumer, answered: bool) -> Stored:
        """Read the series of the instance; count the missing hours, and prepare their health and notices."""
        self._failed = transaction.get(DailyCheck, account.access_key_digest).failed
        found: List[Tuple[HourSeries, HourStore, int]] = []
        missing_hours = newest_use_ms = 0
        end = floor_hour(self._now_ms)
        for series in self.source.hour_series(self._instance, account.project_id):
            hour_store = _open(transaction, series)
            if answered:
                hour_store.begin(self._now_ms)
            first, _ = hour_store.first_hours(self._backfill_ms)
            missing_hours += max(0, end - first) // HOUR - hour_store.count(first, end)
            newest_use_ms = max(newest_use_ms, hour_store.newest_use_end() or 0)
            found.append((series, hour_store, first))
        self._health = {"missing_hours": missing_hours}
        if newest_use_ms:
            self._health["newest_usage_timestamp_seconds"] = newest_use_ms // 1000
        if all(hour_store.began_ms == self._now_ms for _, hour_store, _ in found):
            self._notices.append(FIRST_RUN)
        self._report_backfill(transaction, consumer, missing_hours, len(found))
        if answered and is_due(transaction, consumer.name):
            hours = [OldHours(hour_store) for _, hour_store, _ in found]
            compact(transaction, consumer.name, hours, self._instance.zone)
        return Stored(found, bool(self._failed), budgets=list(self._budgets(found)))

    def details(self, end: CycleEnd, emitted: bool) -> PartialBatch:
        """Build the health of the hours, the failure of the daily check, and the notices."""
        if not emitted:
            return PartialBatch([], {}, [])
        where = self._instance.display_name
        problems = [Problem("I", f"{where}: {text}", text) for text in self._notices]
        if self._failed:
            problems.insert(0, Problem("W", f"{where}: {self._failed}; {NOT_BELIEVED}", f"{where} hours' sum"))
        return PartialBatch([], self._health, problems, bool(self._failed), {f"{where} hours' sum"})

    def _budgets(self, found: Sequence[Tuple[HourSeries, HourStore, int]]) -> Iterator[Budget]:
        if self._instance.has_budget:
            from .budgets import TOKENS, Member, find_budgets

            month = month_window(self._now_ms, self._instance.zone())
            yield from find_budgets(self._instance, TOKENS, month, [Member(*each[:2]) for each in found])

    @property
    def _backfill_ms(self) -> int:
        return self._instance.backfill_days * DAY

    def _report_backfill(self, transaction: Transaction, consumer: Consumer, missing_hours: int, series: int) -> None:
        backfill = transaction.get(Backfill, consumer.name)
        if not backfill.reported and missing_hours >= MIN_BACKFILL_HOURS:
            requests = f"about {missing_hours * 6 // 5:,} requests, newest first"
            self._notices.append(f"backfill: {missing_hours:,} hours of {series} series missing, {requests}")
        elif backfill.reported and not missing_hours:
            self._notices.append("backfill: complete")
        else:
            return
        transaction.put(consumer.name, Backfill(not backfill.reported))

    def _query_task(self, series: HourSeries, window: PendingWindow, priority: Tuple[int, ...]) -> QueryTask:
        query = self.source.hours_query(series, window.query_from, window.until)
        on_answer = partial(self._on_answer, series, window, priority)
        return QueryTask((*priority, -window.until), query, on_answer)

    def _on_answer(
        self, series: HourSeries, window: PendingWindow, priority: Tuple[int, ...], answer: Any
    ) -> Sequence[QueryTask]:
        with write_transaction(self._store, self._now_ms) as transaction:
            hour_store = _open(transaction, series)
            hour_store.begin(self._now_ms)
            follow = bisect.on_answer(hour_store, window, usage_values(answer.usage))
            priorities = [
                priority if each.until > hour_store.settled_until else _priority(hour_store, each) for each in follow
            ]
            self._queried.add(hour_store.id)
        return [self._query_task(series, each, own) for each, own in zip(follow, priorities)]

    def _check_task(self, account: Account, check: DailyCheck, series: HourSeries) -> QueryTask:
        query = self.source.hours_query(series, *check.next_window)
        on_answer = partial(self._on_check_answer, account, len(check.answers), series)
        return QueryTask((Priority.DAILY_CHECK,), query, on_answer)

    def _on_check_answer(self, account: Account, position: int, series: HourSeries, answer: Any) -> Sequence[QueryTask]:
        with write_transaction(self._store, self._now_ms) as transaction:
            check = transaction.get(DailyCheck, account.access_key_digest)
            more = check.on_answer(position, usage_values(answer.usage), self._now_ms)
            transaction.put(account.access_key_digest, check)
        return [self._check_task(account, check, series)] if more else []


def _open(transaction: Transaction, series: HourSeries) -> HourStore:
    return HourStore(transaction, series.name, series.settled_after_ms)


def _priority(hour_store: HourStore, window: PendingWindow) -> Tuple[int, ...]:
    if window.conflicts:  # they are not stored: confirm them in this cycle
        return (Priority.RECENT, 0)
    return (Priority.REPAIR if bisect.is_fully_known(hour_store, window) else Priority.BACKFILL,)
