"""The hours of one instance: a cycle's query tasks, and the storage of their answers."""

from __future__ import annotations

from functools import partial
from typing import Dict, List, Sequence, Set, Tuple

from msgspec import Struct, field

from ..cloud.statistics import TotalsAnswer
from ..config import Instance
from ..scheduling import Priority
from ..state import Store
from . import bisect
from .bisect import PendingWindow
from .counters import compact
from .daily_check import DailyCheck
from .hour_series import HourSeries, list_series, usage_values
from .hour_store import HourStore
from .hour_values import DAY, oldest_hour, settled_until
from .query_task import QueryTask
from .schema import Transaction, write_transaction


class Account(Struct, frozen=True):
    """The project that is queried, and a digest of the access key. Each is empty while it is not known."""

    project_id: str = ""
    access_key_digest: str = field(name="key", default="")


class HourPlanner:
    """Plan the queries about an instance's hours, and store the answers.

    Times are milliseconds since 1970. Methods raise UnusableError if the state cannot be written.
    """

    def __init__(self, instance: Instance, store: Store) -> None:
        self.instance = instance
        self.store = store
        self._queried: Set[int] = set()

    def hour_stores(self, transaction: Transaction, account: Account) -> Dict[str, Tuple[HourSeries, HourStore]]:
        """Return the instance's series and their stored hours, by series name."""
        named = {one.series_name(self.instance.endpoint, account.project_id): one for one in list_series(self.instance)}
        return {name: (one, HourStore(transaction, name)) for name, one in named.items()}

    def first_hours(self, hour_store: HourStore) -> Tuple[int, int]:
        """Return the first hour of this instance, and the first one to query; see HourStore."""
        return hour_store.first_hours(oldest_hour(hour_store.transaction.now_ms), self.instance.backfill_days * DAY)

    def plan(self, account: Account, now_ms: int) -> List[QueryTask]:
        """List the query tasks of a cycle. While hours do not add up to their day, only the daily check is queried."""
        with write_transaction(self.store, now_ms) as transaction:
            hour_stores = self.hour_stores(transaction, account)
            check = transaction.get(DailyCheck, account.access_key_digest)
            tasks: List[QueryTask] = []
            by_name = {name: hour_store for name, (_, hour_store) in hour_stores.items()}
            is_checking = check.start(by_name, oldest_hour(now_ms), now_ms)
            transaction.put(account.access_key_digest, check)
            if is_checking:
                tasks.append(self._check_task(account, check, hour_stores[check.series][0], now_ms))
            if check.failed:
                return tasks
            queried_at = dict(transaction.run("SELECT id, asked FROM series").fetchall())
            for series, hour_store in hour_stores.values():
                due = bisect.plan_windows(hour_store, self.first_hours(hour_store)[1], now_ms)
                for window in bisect.pending_windows(hour_store):
                    priority = (
                        (Priority.RECENT, queried_at[hour_store.id]) if window in due else _priority(hour_store, window)
                    )
                    tasks.append(self._query_task(series, account, window, priority, now_ms))
            return tasks

    def record_queried(self, now_ms: int) -> None:
        """Store which series were queried: the others go first in the next cycle."""
        queried, self._queried = self._queried, set()
        if queried:
            with write_transaction(self.store, now_ms) as transaction:
                rows = [(transaction.advance_logical_clock(), each) for each in queried]
                transaction.run_many("UPDATE series SET asked = ? WHERE id = ?", rows)
                compact(transaction, oldest_hour(now_ms))

    def _query_task(
        self, series: HourSeries, account: Account, window: PendingWindow, priority: Tuple[int, ...], now_ms: int
    ) -> QueryTask:
        on_answer = partial(self._on_answer, series, account, window, priority, now_ms)
        return QueryTask((*priority, -window.until), series.query(window.query_from, window.until), on_answer)

    def _on_answer(
        self,
        series: HourSeries,
        account: Account,
        window: PendingWindow,
        priority: Tuple[int, ...],
        now_ms: int,
        answer: TotalsAnswer,
    ) -> List[QueryTask]:
        with write_transaction(self.store, now_ms) as transaction:
            hour_store = HourStore(transaction, series.series_name(self.instance.endpoint, account.project_id))
            hour_store.begin(now_ms)
            follow = bisect.on_answer(hour_store, window, usage_values(answer.usage))
            priorities = [
                priority if each.until > settled_until(now_ms) else _priority(hour_store, each) for each in follow
            ]
            self._queried.add(hour_store.id)
        return [self._query_task(series, account, each, own, now_ms) for each, own in zip(follow, priorities)]

    def _check_task(self, account: Account, check: DailyCheck, series: HourSeries, now_ms: int) -> QueryTask:
        on_answer = partial(self._on_check_answer, account, len(check.answers), series, now_ms)
        return QueryTask((Priority.DAILY_CHECK,), series.query(*check.next_window), on_answer)

    def _on_check_answer(
        self, account: Account, position: int, series: HourSeries, now_ms: int, answer: TotalsAnswer
    ) -> Sequence[QueryTask]:
        with write_transaction(self.store, now_ms) as transaction:
            check = transaction.get(DailyCheck, account.access_key_digest)
            more = check.on_answer(position, usage_values(answer.usage), now_ms)
            transaction.put(account.access_key_digest, check)
        return [self._check_task(account, check, series, now_ms)] if more else []


def _priority(hour_store: HourStore, window: PendingWindow) -> Tuple[int, ...]:
    if window.conflicts:  # they are not stored: confirm them in this cycle
        return (Priority.RECENT, 0)
    return (Priority.REPAIR if bisect.is_fully_known(hour_store, window) else Priority.BACKFILL,)
