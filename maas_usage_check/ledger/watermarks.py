"""What each consumer gets: every change of an hour, and of a count each unit once."""

from __future__ import annotations

from typing import List, Optional

from msgspec import Struct

from .hour_store import Hour, HourStore
from .hour_values import DAY, FIELDS, HOUR, ZEROS, Values, subtract
from .schema import COLUMNS, Transaction

HOURS, COUNTERS, INCREMENTS = "hours", "counters", "increments"
"""What a consumer takes: points at their own time; counts since the beginning; what a count has grown by."""
FOREVER = 2**62
FORGOTTEN = 40 * DAY
"""Milliseconds after which a consumer that came no more is forgotten; it would be a new one."""


class Consumer(Struct, frozen=True):
    """Name who takes hours or counts: each gets every change, whatever others took."""

    name: str
    kind: str


def changed_hours(hour_store: HourStore, consumer: Consumer, first: int) -> List[Hour]:
    """Return the hours that changed since an hour before the consumer last came: what it took then may be lost."""
    row = _row(hour_store, consumer)
    hours = hour_store.hours(first, FOREVER, max(1, row[0] - HOUR) if row else 1)
    save_watermark(hour_store, consumer, ZEROS)
    return hours


def increments(hour_store: HourStore, consumer: Consumer, counts: Values, before: Values) -> Values:
    """Return what the counts have grown by since the consumer last came; one that is new starts `before` this cycle.

    Raise ValueError where the tables are damaged.
    """
    row = _row(hour_store, consumer)
    save_watermark(hour_store, consumer, counts)
    grown = subtract(counts, row[1:] if row else before)
    if min(grown) < 0:
        raise ValueError("more was given out than was counted")
    return grown


def is_new(hour_store: HourStore, consumer: Consumer) -> bool:
    """Tell whether a consumer never took anything of this series."""
    return _row(hour_store, consumer) is None


def save_watermark(hour_store: HourStore, consumer: Consumer, counts: Values) -> None:
    """Take note that a consumer came, and of the counts that it has now."""
    hour_store.transaction.run(
        f"INSERT OR REPLACE INTO consumers VALUES ({', '.join('?' * (3 + len(FIELDS)))})",
        (consumer.name, hour_store.id, hour_store.transaction.advance_logical_clock(), *counts),
    )


def delete_idle_consumers(transaction: Transaction) -> None:
    """Forget those that came no more; one that still comes knows what it took of a series that was long silent."""
    transaction.run(
        "DELETE FROM consumers WHERE name IN (SELECT name FROM consumers GROUP BY name HAVING MAX(at) < ?)",
        (transaction.advance_logical_clock() - FORGOTTEN,),
    )


def _row(hour_store: HourStore, consumer: Consumer) -> Optional[Values]:
    found = hour_store.transaction.run(
        f"SELECT at, {COLUMNS} FROM consumers WHERE name = ? AND series = ?", (consumer.name, hour_store.id)
    ).fetchone()
    return tuple(found) if found else None
