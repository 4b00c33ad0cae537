"""The windows to query next of one series: one method serves backfill, repair and freshness.

Query the total of a window. If it equals the sum of the stored hours, all of them are right. If it is zero and no use
is stored, all of its hours are known to be zero. Else split the window at a full hour and query the newer part; the
older part is the difference. A known settled hour changes only when a second request, of that hour alone, agrees.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, MAX_CONFLICTS, Values, floor_hour, subtract
from .schema import COLUMNS

_MARKS = ", ".join("?" * (len(FIELDS) + 4))


class PendingWindow(NamedTuple):
    """A window to query from `query_from` on; where `total` is None, all of it. Times are milliseconds since 1970.

    `total` is the use of the whole window. `conflicts` are this cycle's answers that contradict a known settled hour.
    """

    start: int
    until: int
    query_from: int
    total: Optional[Values]
    conflicts: Tuple[Values, ...] = ()


def plan_windows(hour_store: HourStore, first: int) -> List[PendingWindow]:
    """Store and return the new windows of a cycle: the last hours always, the settled past once an hour."""
    settled_end, end = max(first, hour_store.settled_until), floor_hour(hour_store.transaction.now_ms)
    _delete_within(hour_store, settled_end, end)
    (checked,) = hour_store.transaction.select_one("SELECT checked FROM series WHERE id = ?", (hour_store.id,))
    has_recent_use = any(hour_store.total(settled_end, end).values)
    windows = _hour_by_hour(settled_end, end) if has_recent_use else _whole(settled_end, end)
    if checked < settled_end:
        _delete_without_total(hour_store)
        windows += _not_pending(hour_store, first, settled_end)
        hour_store.transaction.run("UPDATE series SET checked = ? WHERE id = ?", (settled_end, hour_store.id))
    for window in windows:
        _insert(hour_store, window)
    return windows


def on_answer(hour_store: HourStore, window: PendingWindow, values: Values) -> List[PendingWindow]:
    """Store the use of the queried part; return the windows to query next."""
    start, until, query_from, total, conflicts = window
    hour_store.transaction.run(
        "DELETE FROM questions WHERE series = ? AND start = ? AND until = ?", (hour_store.id, start, until)
    )
    follow = _compare(hour_store, query_from, until, values, conflicts)
    if total is not None:
        rest = subtract(total, values)
        # Negative: the usage changed between the two answers.
        follow += _whole(start, query_from) if min(rest) < 0 else _compare(hour_store, start, query_from, rest)
    for each in follow:
        _insert(hour_store, each)
    return follow


def pending_windows(hour_store: HourStore) -> List[PendingWindow]:
    """List the windows that are still to be queried, the oldest first."""
    rows = hour_store.transaction.select(
        f"SELECT start, until, newer, {COLUMNS} FROM questions WHERE series = ? ORDER BY start", (hour_store.id,)
    )
    return [
        PendingWindow(start, until, query_from, None if None in total else tuple(total))
        for start, until, query_from, *total in rows
    ]


def is_fully_known(hour_store: HourStore, window: PendingWindow) -> bool:
    """Return True if all hours of a pending window are known: some of them are wrong then."""
    start, until = window[:2]
    return hour_store.count(start, until) == (until - start) // HOUR


def _compare(
    hour_store: HourStore, start: int, until: int, values: Values, conflicts: Tuple[Values, ...] = ()
) -> List[PendingWindow]:
    hours, stored = (until - start) // HOUR, hour_store.total(start, until)
    is_settled = until <= hour_store.settled_until
    if stored == (hours, values):
        hour_store.confirm(start, until)
    elif hours == 1 and stored.hours and (is_settled or not any(values)) and values not in conflicts:
        if len(conflicts) + 1 < MAX_CONFLICTS:
            return [PendingWindow(start, until, start, None, (*conflicts, values))]
    elif hours == 1 or not any((*values, *stored.values)):
        hour_store.put(start, until, values)
    elif is_settled:
        return [PendingWindow(start, until, _split(hour_store, start, until), values)]
    else:  # only settled windows may be subtracted
        return _hour_by_hour(start, until)
    return []


def _split(hour_store: HourStore, start: int, until: int) -> int:
    """Return the newest border between known and unknown hours, else the middle."""
    known = set(hour_store.known_starts(start, until))
    if 0 < len(known) < (until - start) // HOUR:
        at = until - HOUR
        while (at in known) == (at - HOUR in known):
            at -= HOUR
        return at
    return floor_hour((start + until + HOUR) // 2)


def _whole(start: int, until: int) -> List[PendingWindow]:
    return [PendingWindow(start, until, start, None)] if start < until else []


def _hour_by_hour(start: int, until: int) -> List[PendingWindow]:
    return [PendingWindow(at, at + HOUR, at, None) for at in range(start, until, HOUR)]


def _not_pending(hour_store: HourStore, first: int, until: int) -> List[PendingWindow]:
    """Return windows for the hours that no pending window covers."""
    windows: List[PendingWindow] = []
    for start, end, *_ in pending_windows(hour_store):
        windows += _whole(first, start)
        first = max(first, end)
    return windows + _whole(first, until)


def _insert(hour_store: HourStore, window: PendingWindow) -> None:
    start, until, query_from, total = window[:4]
    hour_store.transaction.run(
        f"INSERT OR REPLACE INTO questions VALUES ({_MARKS})",
        (hour_store.id, start, until, query_from, *(total or (None,) * len(FIELDS))),
    )


def _delete_within(hour_store: HourStore, start: int, until: int) -> None:
    hour_store.transaction.run(
        "DELETE FROM questions WHERE series = ? AND start >= ? AND until <= ?", (hour_store.id, start, until)
    )


def _delete_without_total(hour_store: HourStore) -> None:
    hour_store.transaction.run("DELETE FROM questions WHERE series = ? AND total_tokens IS NULL", (hour_store.id,))
