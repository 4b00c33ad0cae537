"""What to ask next of one series: one question does the backfill, the healing and the freshness.

Ask the total of a window. Where it equals the sum of what the ledger holds, all of its hours are right; where nothing
was used and no use is known, all of them are known. Else split the window at an hour and ask the newer part, from which
the older follows. One wrong answer changes no settled hour that is known, and wipes none: a request of the hour's own
must agree.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, MAX_CONFLICTS, Values, floor_hour, settled_until, subtract
from .schema import COLUMNS

_MARKS = ", ".join("?" * (len(FIELDS) + 4))


class PendingWindow(NamedTuple):
    """Hold a window whose part from `newer` on is to be asked; without a total that is all of it.

    `claims` are what this cycle's answers say of a settled hour that the ledger knows otherwise.
    """

    start: int
    until: int
    query_from: int
    total: Optional[Values]
    conflicts: Tuple[Values, ...] = ()


def prepare(hour_store: HourStore, first: int, now_ms: int) -> List[PendingWindow]:
    """Open the questions of a cycle: of the last hours always, of the settled past once an hour."""
    edge, end = max(first, settled_until(now_ms)), floor_hour(now_ms)
    _forget(hour_store, edge, end)
    (checked,) = hour_store.transaction.run("SELECT checked FROM series WHERE id = ?", (hour_store.id,)).fetchone()
    opened = _each(edge, end) if any(hour_store.total(edge, end).values) else _whole(edge, end)
    if checked < edge:
        _forget_untold(hour_store)
        opened += _uncovered(hour_store, first, edge)
        hour_store.transaction.run("UPDATE series SET checked = ? WHERE id = ?", (edge, hour_store.id))
    for window in opened:
        _open(hour_store, window)
    return opened


def on_answer(hour_store: HourStore, window: PendingWindow, values: Values) -> List[PendingWindow]:
    """Write down what was used in the part that was asked; return the questions that follow."""
    start, until, query_from, total, conflicts = window
    hour_store.transaction.run(
        "DELETE FROM questions WHERE series = ? AND start = ? AND until = ?", (hour_store.id, start, until)
    )
    follow = _compare(hour_store, query_from, until, values, conflicts)
    if total is not None:
        rest = subtract(total, values)
        # Less than nothing: something changed between the two answers.
        follow += _whole(start, query_from) if min(rest) < 0 else _compare(hour_store, start, query_from, rest)
    for each in follow:
        _open(hour_store, each)
    return follow


def pending_windows(hour_store: HourStore) -> List[PendingWindow]:
    """List what is still to be asked, the oldest window first."""
    rows = hour_store.transaction.run(
        f"SELECT start, until, newer, {COLUMNS} FROM questions WHERE series = ? ORDER BY start", (hour_store.id,)
    )
    return [
        PendingWindow(start, until, query_from, None if None in total else tuple(total))
        for start, until, query_from, *total in rows
    ]


def is_complete(hour_store: HourStore, window: PendingWindow) -> bool:
    """Tell whether all hours of the window are known, and some of them wrong."""
    start, until = window[:2]
    return hour_store.total(start, until).hours == (until - start) // HOUR


def _compare(
    hour_store: HourStore, start: int, until: int, values: Values, conflicts: Tuple[Values, ...] = ()
) -> List[PendingWindow]:
    count, held, is_final = (
        (until - start) // HOUR,
        hour_store.total(start, until),
        until <= settled_until(hour_store.transaction.now_ms),
    )
    if held == (count, values):
        hour_store.confirm(start, until)
    elif count == 1 and held.hours and (is_final or not any(values)) and values not in conflicts:
        if len(conflicts) + 1 < MAX_CONFLICTS:
            return [PendingWindow(start, until, start, None, (*conflicts, values))]
    elif count == 1 or not any((*values, *held.values)):
        hour_store.put(start, until, values)
    elif is_final:
        return [PendingWindow(start, until, _split(hour_store, start, until), values)]
    else:  # only settled windows may be subtracted
        return _each(start, until)
    return []


def _split(hour_store: HourStore, start: int, until: int) -> int:
    """Split at the newest edge between what is known and what is not; else in the middle."""
    known = set(hour_store.known_starts(start, until))
    if 0 < len(known) < (until - start) // HOUR:
        at = until - HOUR
        while (at in known) == (at - HOUR in known):
            at -= HOUR
        return at
    return floor_hour((start + until + HOUR) // 2)


def _whole(start: int, until: int) -> List[PendingWindow]:
    return [PendingWindow(start, until, start, None)] if start < until else []


def _each(start: int, until: int) -> List[PendingWindow]:
    return [PendingWindow(at, at + HOUR, at, None) for at in range(start, until, HOUR)]


def _uncovered(hour_store: HourStore, first: int, edge: int) -> List[PendingWindow]:
    """Ask about what no open question covers."""
    asked: List[PendingWindow] = []
    for start, until, *_ in pending_windows(hour_store):
        asked += _whole(first, start)
        first = max(first, until)
    return asked + _whole(first, edge)


def _open(hour_store: HourStore, window: PendingWindow) -> None:
    start, until, query_from, total = window[:4]
    hour_store.transaction.run(
        f"INSERT OR REPLACE INTO questions VALUES ({_MARKS})",
        (hour_store.id, start, until, query_from, *(total or (None,) * len(FIELDS))),
    )


def _forget(hour_store: HourStore, start: int, until: int) -> None:
    hour_store.transaction.run(
        "DELETE FROM questions WHERE series = ? AND start >= ? AND until <= ?", (hour_store.id, start, until)
    )


def _forget_untold(hour_store: HourStore) -> None:
    hour_store.transaction.run("DELETE FROM questions WHERE series = ? AND total_tokens IS NULL", (hour_store.id,))
