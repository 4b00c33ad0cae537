"""Counters: per series and field, the running maximum of the sum of its hours since its history began."""

from __future__ import annotations

from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, Values, add, subtract
from .schema import SUMS, Transaction

_FROZEN = ", ".join(f"frozen_{name}" for name in FIELDS)
_COUNTED = ", ".join(f"counted_{name}" for name in FIELDS)


def update_counters(hour_store: HourStore, settled_only: bool = False) -> Values:
    """Store and return the counters of a series. They never fall: after a correction downwards they wait.

    `settled_only`: an hour that may still fall is left for a cycle that emits counts.
    """
    transaction, series = hour_store.transaction, (hour_store.id,)
    before: Values = transaction.select_one(f"SELECT {_COUNTED} FROM series WHERE id = ?", series)
    counters = tuple(map(max, before, _sum_of_hours(hour_store, settled_only)))
    if counters != before:
        marks = ", ".join("?" * len(FIELDS))
        transaction.run(f"UPDATE series SET ({_COUNTED}) = ({marks}) WHERE id = ?", (*counters, *series))
    return counters


def held_back(hour_store: HourStore, counters: Values) -> Values:
    """Return by how much counters are ahead of the sum of their hours, because the cloud took use back."""
    return subtract(counters, _sum_of_hours(hour_store))


def stored_counters(hour_store: HourStore) -> Values:
    """Return the counters as they were last stored."""
    return hour_store.transaction.select_one(f"SELECT {_COUNTED} FROM series WHERE id = ?", (hour_store.id,))


def fold(hour_store: HourStore, until: int) -> None:
    """Add the hours before `until` (milliseconds), which never change again, to the sums that counters start from."""
    transaction, series = hour_store.transaction, (hour_store.id,)
    frozen: Values = transaction.select_one(f"SELECT {_FROZEN} FROM series WHERE id = ?", series)
    sums = add(frozen, _sum_since_began(transaction, hour_store.id, until))
    transaction.run(
        f"UPDATE series SET frozen_until = ?, ({_FROZEN}) = ({', '.join('?' * len(FIELDS))}) WHERE id = ?",
        (until, *sums, *series),
    )


def _sum_of_hours(hour_store: HourStore, settled_only: bool = False) -> Values:
    transaction = hour_store.transaction
    frozen: Values = transaction.select_one(f"SELECT {_FROZEN} FROM series WHERE id = ?", (hour_store.id,))
    return add(frozen, _sum_since_began(transaction, hour_store.id, settled_only=settled_only))


def _sum_since_began(transaction: Transaction, series: int, until: int = 2**62, settled_only: bool = False) -> Values:
    """Add up the hours before `until` that ended after the history began and are not yet folded."""
    began, folded_until = transaction.select_one("SELECT began, frozen_until FROM series WHERE id = ?", (series,))
    since = max(began - HOUR + 1, folded_until) if began else until
    return transaction.select_one(
        f"SELECT {SUMS} FROM hours WHERE series = ? AND start >= ? AND start < ? AND settled >= ?",
        (series, since, until, settled_only),
    )
