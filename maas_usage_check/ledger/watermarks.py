"""Watermarks of consumers: each gets every change of an hour, and every unit of a counter once."""

from __future__ import annotations

from typing import List

from msgspec import Struct

from .hour_store import Hour, HourStore
from .hour_values import DAY, FIELDS, HOUR, ZEROS, Values, subtract
from .schema import COLUMNS, Transaction

HOURS, COUNTERS, INCREMENTS = "hours", "counters", "increments"
"""Kinds of consumers: points of hours at their own time; counters; increments of counters."""
FOREVER = 2**62
IDLE_MS = 40 * DAY
"""A consumer without a cycle for so long is deleted; after that it is a new one."""


class Consumer(Struct, frozen=True):
    """A receiver of hours or counters with its own watermark per series; `kind` is HOURS, COUNTERS or INCREMENTS."""

    name: str
    kind: str

    @property
    def is_incremental(self) -> bool:
        """True if no value is emitted to it twice."""
        return self.kind == INCREMENTS


def changed_hours(hour_store: HourStore, consumer: Consumer, first: int) -> List[Hour]:
    """Return the hours that changed since an hour before the consumer's last cycle: its newest points may be lost."""
    row = _row(hour_store, consumer)
    hours = hour_store.hours(first, FOREVER, max(1, row[0] - HOUR) if row else 1)
    save_watermark(hour_store, consumer, ZEROS)
    return hours


def increments(hour_store: HourStore, consumer: Consumer, counters: Values, before: Values) -> Values:
    """Return the increments since the consumer's last cycle; for a new consumer, those since `before`.

    Raise ValueError if the tables are damaged.
    """
    row = _row(hour_store, consumer)
    save_watermark(hour_store, consumer, counters)
    grown = subtract(counters, row[1:] if row else before)
    if min(grown) < 0:
        raise ValueError("more was emitted than was counted")
    return grown


def is_new(hour_store: HourStore, consumer: Consumer) -> bool:
    """Return True if the consumer never got anything from this series."""
    return not _row(hour_store, consumer)


def save_watermark(hour_store: HourStore, consumer: Consumer, counters: Values) -> None:
    """Store the time of the consumer's cycle, and the counters that it has got."""
    hour_store.transaction.run(
        f"INSERT OR REPLACE INTO consumers VALUES ({', '.join('?' * (3 + len(FIELDS)))})",
        (consumer.name, hour_store.id, hour_store.transaction.advance_logical_clock(), *counters),
    )


def delete_idle_consumers(transaction: Transaction) -> None:
    """Delete consumers without a cycle for 40 days. Others keep their watermarks, however old those of a series are."""
    transaction.run(
        "DELETE FROM consumers WHERE name IN (SELECT name FROM consumers GROUP BY name HAVING MAX(at) < ?)",
        (transaction.advance_logical_clock() - IDLE_MS,),
    )


def _row(hour_store: HourStore, consumer: Consumer) -> Values:
    """Return the time of the consumer's last cycle and the counters that it got; empty if it is new."""
    statement = f"SELECT at, {COLUMNS} FROM consumers WHERE name = ? AND series = ?"
    return hour_store.transaction.select_one(statement, (consumer.name, hour_store.id))
