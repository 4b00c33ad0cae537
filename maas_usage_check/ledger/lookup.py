"""Read-only lookup in the ledger for commands: the use of windows whose hours are all known and final."""

from __future__ import annotations

from functools import reduce
from typing import Dict, NamedTuple, Sequence

from ..cloud.statistics import TotalsAnswer, TotalsQuery
from ..cloud.usage import Usage
from ..config import Instance
from ..config.ranges import Window
from ..state import Store
from .daily_check import DailyCheck
from .hour_planner import Account
from .hour_series import list_series
from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, add
from .schema import read_transaction


class StoredHours(NamedTuple):
    """Answers of the ledger, the project they are of, and when (milliseconds) the cloud was last queried about them.

    `reason` says why there are no answers; it is empty if hours are missing.
    """

    answers: Dict[TotalsQuery, TotalsAnswer]
    project_id: str = ""
    as_of_ms: int = 0
    reason: str = ""


def lookup(instance: Instance, store: Store, account: Account, windows: Sequence[Window], now_ms: int) -> StoredHours:
    """Answer those windows whose hours are all known and final, for each series of an instance.

    Raise UnusableError if the ledger cannot be read. The ledger has no batch counts.
    """
    aligned = [each for each in windows if each.start % HOUR == 0 == each.end % HOUR and each.start < each.end]
    answers: Dict[TotalsQuery, TotalsAnswer] = {}
    as_of_ms = now_ms
    with read_transaction(store, now_ms) as transaction:
        failed = transaction.get(DailyCheck, account.access_key_digest).failed
        if not aligned or failed:
            return StoredHours({}, reason=failed)
        for series in list_series(instance):
            hour_store = HourStore.find(transaction, series.series_name(instance.endpoint, account.project_id))
            if hour_store is None:
                continue
            hours = hour_store.hours(aligned[0].start, aligned[-1].end)
            final = {hour.start: hour.values for hour in hours if hour.settled}
            known = [window for window in aligned if all(at in final for at in range(window.start, window.end, HOUR))]
            for window in known:
                values = reduce(add, (final[at] for at in range(window.start, window.end, HOUR)))
                answers[series.window_query(window)] = TotalsAnswer(Usage(**dict(zip(FIELDS, values))), "")
            if known:
                as_of_ms = min(as_of_ms, hour_store.queried_ms)
    return StoredHours(answers, account.project_id, as_of_ms)
