"""What each consumer gets: every change of an hour, and of a count each unit once."""

from __future__ import annotations

from typing import List, Optional

from msgspec import Struct

from .hour_store import Hour, Ledger
from .hour_values import DAY, FIELDS, HOUR, ZEROS, Values, minus
from .schema import COLUMNS, Book

HOURS, COUNTERS, INCREMENTS = "hours", "counters", "increments"
"""What a consumer takes: points at their own time; counts since the beginning; what a count has grown by."""
FOREVER = 2**62
FORGOTTEN = 40 * DAY
"""Milliseconds after which a consumer that came no more is forgotten; it would be a new one."""


class Consumer(Struct, frozen=True):
    """Name who takes hours or counts: each gets every change, whatever others took."""

    name: str
    takes: str


def changed_hours(ledger: Ledger, consumer: Consumer, first: int) -> List[Hour]:
    """Return the hours that changed since an hour before the consumer last came: what it took then may be lost."""
    row = _row(ledger, consumer)
    hours = ledger.hours(first, FOREVER, max(1, row[0] - HOUR) if row else 1)
    note(ledger, consumer, ZEROS)
    return hours


def increments(ledger: Ledger, consumer: Consumer, counts: Values, before: Values) -> Values:
    """Return what the counts have grown by since the consumer last came; one that is new starts `before` this cycle.

    Raise ValueError where the tables are damaged.
    """
    row = _row(ledger, consumer)
    note(ledger, consumer, counts)
    grown = minus(counts, row[1:] if row else before)
    if min(grown) < 0:
        raise ValueError("more was given out than was counted")
    return grown


def is_new(ledger: Ledger, consumer: Consumer) -> bool:
    """Tell whether a consumer never took anything of this series."""
    return _row(ledger, consumer) is None


def note(ledger: Ledger, consumer: Consumer, counts: Values) -> None:
    """Take note that a consumer came, and of the counts that it has now."""
    ledger.book.run(
        f"INSERT OR REPLACE INTO consumers VALUES ({', '.join('?' * (3 + len(FIELDS)))})",
        (consumer.name, ledger.id, ledger.book.tick(), *counts),
    )


def forget_consumers(book: Book) -> None:
    """Forget those that came no more; one that still comes knows what it took of a series that was long silent."""
    book.run(
        "DELETE FROM consumers WHERE name IN (SELECT name FROM consumers GROUP BY name HAVING MAX(at) < ?)",
        (book.tick() - FORGOTTEN,),
    )


def _row(ledger: Ledger, consumer: Consumer) -> Optional[Values]:
    found = ledger.book.run(
        f"SELECT at, {COLUMNS} FROM consumers WHERE name = ? AND series = ?", (consumer.name, ledger.id)
    ).fetchone()
    return tuple(found) if found else None
