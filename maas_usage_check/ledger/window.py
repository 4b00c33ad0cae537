"""Windows of hours for a command: their known usage, and the queries that complete it.

Answers are stored as those of a cycle are. No history begins with them and no watermark moves: no consumer loses or
counts anything because of a command.
"""

from __future__ import annotations

from functools import cached_property, partial
from itertools import groupby
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ..cloud import Api, Statistics
from ..cloud.source import HourSeries
from ..cloud.statistics import TotalsAnswer
from ..config import Instance
from ..config.ranges import Window, ceil_hour
from ..scheduling import Priority
from ..state import MissingError, Store, UnusableError
from . import bisect
from .bisect import PendingWindow
from .daily_check import DailyCheck
from .hour_store import HourStore
from .hour_values import HOUR, floor_hour, oldest_hour, usage_values
from .known_usage import KnownUsage, hour_span, no_usage
from .live_minutes import COMPLETE_AFTER
from .planner import Account, QueryTask
from .schema import Transaction, read_transaction, write_transaction
from .usage_reader import add_usage


class HoursWindow:
    """Windows of hours of some series; its two kinds say what the series are, and how missing hours are queried.

    Hours of more than 29 days ago are only read, as hours or as days.

    Args:
        instance: whose series.
        store: the ledger's.
        account: whose usage it is.
        windows: of full hours that are over.
        now_ms: milliseconds since 1970.
        unsettled: the last hours are known too, once the cloud has use of any series in them; see add_usage.

    Attributes:
        stores: of the ledger; answers are stored in the last one.
        missing: how many hours of all series are queried, in about so many `requests`.
        answered: the series and hours that were answered since.
        unusable: why the ledger could not be read; None also while there is none.
        warnings: about rejected values, a line each.
    """

    api: Api

    def __init__(
        self,
        instance: Instance,
        store: Store,
        account: Account,
        windows: Sequence[Window],
        now_ms: int,
        unsettled: bool = False,
    ) -> None:
        self.stores = [store]
        self.account = account
        self.missing = self.requests = 0
        self.answered: Set[Tuple[Any, int]] = set()
        self.unusable: Optional[UnusableError] = None
        self.warnings: List[str] = []
        self._instance = instance
        self._windows = windows
        self._now_ms = now_ms
        self._unsettled = unsettled
        self._known: Optional[Tuple[Tuple[int, int], KnownUsage]] = None

    def read(self) -> KnownUsage:
        """Return the usage that is final or was answered since; an unusable ledger has none."""
        state = (len(self.answered), len(self.stores))
        if self._known is None or self._known[0] != state:
            self._known = (state, self._read_again())
        return self._known[1]

    def _read_again(self) -> KnownUsage:
        raise NotImplementedError

    def plan(self) -> Sequence[QueryTask]:
        """Return the queries for the other hours; more follow from their answers."""
        raise NotImplementedError

    def _hours_since(self, oldest: int) -> List[int]:
        """List the starts of the hours of all windows from `oldest` on."""
        starts = (at for each in self._windows for at in range(max(each.start, oldest), each.end, HOUR))
        return sorted(set(starts))

    def _read(
        self, series: Dict[Any, HourSeries], get: Callable[[Transaction], Any], since_ms: int = 0
    ) -> Tuple[KnownUsage, Any]:
        """Return the known usage of series since a time, and the first entry that `get` finds."""
        windows = [Window(max(each.start, since_ms), each.end) for each in self._windows if each.end > since_ms]
        found, entry = no_usage(series), None
        for store in self.stores:
            try:
                with read_transaction(store, self._now_ms) as transaction:
                    entry = entry or get(transaction)
                    add_usage(found, transaction, series, windows, self.answered, self._unsettled)
            except MissingError:
                continue
            except UnusableError as error:
                self.unusable = error
        found.fold_hours()
        return found, entry


class StatisticsWindow(HoursWindow):
    """The hours of an instance by (service type, inference type, tag of the label, "" for all); see list_series."""

    api = Statistics()

    def _read_again(self) -> KnownUsage:
        """Return the known usage; none while the hours of the access key do not add up to their day."""
        digest = self.account.access_key_digest
        found, failed = self._read(self._series, lambda entries: entries.get(DailyCheck, digest).failed)
        return KnownUsage({key: {} for key in found.spans}, {}, failed) if failed else found

    def plan(self) -> Sequence[QueryTask]:
        """Return a query for each run of missing hours, the newest first. Settled hours and later ones are apart."""
        tasks: List[QueryTask] = []
        hours, known = self._hours_since(oldest_hour(self._now_ms)), self.read()
        final = min(floor_hour(self._now_ms - each.settled_after_ms) for each in self._series.values())
        for key, spans in known.spans.items() if not known.failed else ():
            missing = [at for at in hours if hour_span(at) not in spans]
            self.missing += len(missing)
            for _, run in groupby(enumerate(missing), lambda each: (each[1] - each[0] * HOUR, each[1] < final)):
                starts = [at for _, at in run]
                tasks.append(self._task(key, PendingWindow(starts[0], starts[-1] + HOUR, starts[0], None)))
        self.requests = max(len(tasks), self.missing * 6 // 5)
        return tasks

    @cached_property
    def _series(self) -> Dict[Any, HourSeries]:
        # First read once the account is known: the names depend on it.
        return {
            (each.subject.service_type, each.subject.infer_type, each.tags.get("api_key_label", "")): each
            for each in self.api.hour_series(self._instance, self.account.project_id)
        }

    def _task(self, key: Any, window: PendingWindow) -> QueryTask:
        query = self.api.hours_query(self._series[key], window.query_from, window.until)
        return QueryTask((Priority.BY_HAND, -window.until), query, partial(self._on_answer, key, window))

    def _on_answer(self, key: Any, window: PendingWindow, answer: TotalsAnswer) -> Sequence[QueryTask]:
        series = self._series[key]
        with write_transaction(self.stores[-1], self._now_ms) as transaction:
            hour_store = HourStore(transaction, series.name, series.settled_after_ms)
            follow = bisect.on_answer(hour_store, window, usage_values(answer.usage))
        pending = {at for each in follow for at in range(each.start, each.until, HOUR)}
        self.answered.update((key, at) for at in range(window.start, window.until, HOUR) if at not in pending)
        return [self._task(key, each) for each in follow]


def whole_hours(window: Window, now_ms: int, is_models: bool) -> Window:
    """Return the hours of UTC that begin in a window and are complete."""
    until = floor_hour(now_ms - COMPLETE_AFTER) if is_models else floor_hour(now_ms)
    start = ceil_hour(window.start)
    return Window(start, max(start, min(ceil_hour(window.end), until)))
