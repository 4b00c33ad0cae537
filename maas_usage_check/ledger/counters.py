"""Counts: for each series and field the most that its hours ever added up to since its history began."""

from __future__ import annotations

from .hour_store import HourStore
from .hour_values import FIELDS, HOUR, Values, add
from .schema import SUMS, Transaction

_FROZEN = ", ".join(f"frozen_{name}" for name in FIELDS)
_COUNTED = ", ".join(f"counted_{name}" for name in FIELDS)


def update_counters(hour_store: HourStore) -> Values:
    """Return the counts of a series; they never fall: what the cloud takes back is held until it is made up."""
    run, series = hour_store.transaction.run, (hour_store.id,)
    before: Values = run(f"SELECT {_COUNTED} FROM series WHERE id = ?", series).fetchone()
    frozen: Values = run(f"SELECT {_FROZEN} FROM series WHERE id = ?", series).fetchone()
    counts = tuple(map(max, before, add(frozen, _ended_since_began(hour_store.transaction, hour_store.id))))
    if counts != before:
        run(f"UPDATE series SET ({_COUNTED}) = ({', '.join('?' * len(FIELDS))}) WHERE id = ?", (*counts, *series))
    return counts


def stored_counters(hour_store: HourStore) -> Values:
    """Return the counts as they were last worked out."""
    return tuple(hour_store.transaction.run(f"SELECT {_COUNTED} FROM series WHERE id = ?", (hour_store.id,)).fetchone())


def compact(transaction: Transaction, until: int) -> None:
    """Let go of all hours before a moment: they are never asked again, and stay in the counts.

    Only when the cloud has answered, and so the clock is right: what is frozen stays so.
    """
    # A clock that was ahead when a history began would keep it from counting.
    transaction.run("UPDATE series SET began = ? WHERE began > ?", (transaction.now_ms, transaction.now_ms))
    for (series,) in transaction.run("SELECT DISTINCT series FROM hours WHERE start < ?", (until,)).fetchall():
        frozen: Values = transaction.run(f"SELECT {_FROZEN} FROM series WHERE id = ?", (series,)).fetchone()
        sums = add(frozen, _ended_since_began(transaction, series, until))
        transaction.run(
            f"UPDATE series SET frozen_until = ?, ({_FROZEN}) = ({', '.join('?' * len(FIELDS))}) WHERE id = ?",
            (until, *sums, series),
        )
        transaction.run("DELETE FROM hours WHERE series = ? AND start < ?", (series, until))
    transaction.run("DELETE FROM questions WHERE until <= ?", (until,))


def _ended_since_began(transaction: Transaction, series: int, until: int = 2**62) -> Values:
    (began,) = transaction.run("SELECT began FROM series WHERE id = ?", (series,)).fetchone()
    since = began - HOUR if began else until
    row = transaction.run(
        f"SELECT {SUMS} FROM hours WHERE series = ? AND start > ? AND start < ?", (series, since, until)
    )
    return tuple(row.fetchone())
