"""Counts: for each series and field the most that its hours ever added up to since its history began."""

from __future__ import annotations

from .hour_store import Ledger
from .hour_values import FIELDS, HOUR, Values, plus
from .schema import SUMS, Book

_FROZEN = ", ".join(f"frozen_{name}" for name in FIELDS)
_COUNTED = ", ".join(f"counted_{name}" for name in FIELDS)


def counted(ledger: Ledger) -> Values:
    """Return the counts of a series; they never fall: what the cloud takes back is held until it is made up."""
    run, series = ledger.book.run, (ledger.id,)
    before: Values = run(f"SELECT {_COUNTED} FROM series WHERE id = ?", series).fetchone()
    frozen: Values = run(f"SELECT {_FROZEN} FROM series WHERE id = ?", series).fetchone()
    counts = tuple(map(max, before, plus(frozen, _ended_since_began(ledger.book, ledger.id))))
    if counts != before:
        run(f"UPDATE series SET ({_COUNTED}) = ({', '.join('?' * len(FIELDS))}) WHERE id = ?", (*counts, *series))
    return counts


def known_counts(ledger: Ledger) -> Values:
    """Return the counts as they were last worked out."""
    return tuple(ledger.book.run(f"SELECT {_COUNTED} FROM series WHERE id = ?", (ledger.id,)).fetchone())


def freeze(book: Book, until: int) -> None:
    """Let go of all hours before a moment: they are never asked again, and stay in the counts.

    Only when the cloud has answered, and so the clock is right: what is frozen stays so.
    """
    # A clock that was ahead when a history began would keep it from counting.
    book.run("UPDATE series SET began = ? WHERE began > ?", (book.now, book.now))
    for (series,) in book.run("SELECT DISTINCT series FROM hours WHERE start < ?", (until,)).fetchall():
        frozen: Values = book.run(f"SELECT {_FROZEN} FROM series WHERE id = ?", (series,)).fetchone()
        sums = plus(frozen, _ended_since_began(book, series, until))
        book.run(
            f"UPDATE series SET frozen_until = ?, ({_FROZEN}) = ({', '.join('?' * len(FIELDS))}) WHERE id = ?",
            (until, *sums, series),
        )
        book.run("DELETE FROM hours WHERE series = ? AND start < ?", (series, until))
    book.run("DELETE FROM questions WHERE until <= ?", (until,))


def _ended_since_began(book: Book, series: int, until: int = 2**62) -> Values:
    (began,) = book.run("SELECT began FROM series WHERE id = ?", (series,)).fetchone()
    since = began - HOUR if began else until
    row = book.run(f"SELECT {SUMS} FROM hours WHERE series = ? AND start > ? AND start < ?", (series, since, until))
    return tuple(row.fetchone())
