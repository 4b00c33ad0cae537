"""A transaction over the tables of the ledger in the state; see state/schema.py."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any, Iterator, List, Sequence, Tuple

import msgspec

from .. import state
from ..state import MissingError, Store, UnusableError
from .hour_values import FIELDS, HOUR

COLUMNS = ", ".join(FIELDS)
MAX_PER_HOUR = 2 * 10**14
"""The largest valid number of an hour: two classes of errors, each with the largest valid value of Cloud Eye."""


def sums_of(*names: str, part: str = "{name}") -> str:
    """Write the sums of columns, or of a part of each. An invalid number makes its sum invalid: SQLite skips it."""
    return ", ".join(
        f"COALESCE(SUM(CASE WHEN {name} BETWEEN 0 AND {MAX_PER_HOUR} THEN {part.format(name=name)} ELSE '' END), 0)"
        for name in names
    )


SUMS = sums_of(*FIELDS)
# A series whose name is not a digest, or rows without a series.
LOST_SERIES = (
    "SELECT 1 FROM series WHERE typeof(name) <> 'text' OR (LENGTH(name) = 32 AND name GLOB '*[^0-9a-f]*') "
    + " ".join(
        f"UNION SELECT 1 FROM {table} WHERE series NOT IN (SELECT id FROM series)"
        for table in ("hours", "questions", "consumers", "days")
    )
)
TEXT_COLUMNS = frozenset({"kind", "name", "value", "currency", "prompt", "completion", "cached_prompt", "since"})
FULL_HOUR_COLUMNS = frozenset({"start", "until", "newer"})
TIME_COLUMNS = FULL_HOUR_COLUMNS | {"at", "began", "hours_from", "frozen_until", "asked", "checked", "changed"}
MAX_TIME_MS = 2**42
"""In the year 2109: a later time is invalid, and in nanoseconds would not fit into a point."""

Row = Tuple[Any, ...]


class Transaction:
    """One transaction over the ledger.

    Args:
        transaction: on the state.
        now_ms: milliseconds since 1970.
        answered: whether the cloud has answered in this cycle.
    """

    def __init__(self, transaction: state.Transaction, now_ms: int, answered: bool = True) -> None:
        self._is_checked = False
        self.run = transaction.run
        self.run_many = transaction.run_many
        self.get = transaction.get
        self.put = transaction.put
        self.now_ms = now_ms
        self._answered = answered

    def select(self, statement: str, values: Sequence[Any] = ()) -> List[Row]:
        """Return all rows. An invalid value raises sqlite3.DatabaseError: the file is damaged."""
        cursor = self.run(statement, values)
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        for name, column in zip(names, zip(*rows)):  # by column: a cycle may read 40,000 rows
            if name in FIELDS and "newer" in names:  # the total of a pending window may be unknown
                column = tuple(value for value in column if value is not None)
            if column and not _are_valid(name, column):
                problem = f"`{name}` of a row is invalid" if name.isidentifier() else "a sum is not a valid integer"
                raise sqlite3.DatabaseError(problem)
        return rows

    def select_one(self, statement: str, values: Sequence[Any] = ()) -> Row:
        """Return the first row; empty if there is none."""
        return next(iter(self.select(statement, values)), ())

    def advance_logical_clock(self) -> int:
        """Advance the logical clock to now; return its time in milliseconds.

        It never goes back, even if the machine's clock does. It advances only in a cycle with an answer: the cloud
        rejects requests with a wrong time.
        """
        if self._answered:
            self.run("UPDATE clock SET at = MAX(at, ?)", (self.now_ms,))
        return self.logical_time()

    def logical_time(self) -> int:
        """Return the time of the logical clock in milliseconds."""
        row = self.select_one("SELECT at FROM clock")
        if not row:
            raise sqlite3.DatabaseError("the clock is missing")
        return int(row[0])

    def raise_if_series_lost(self) -> None:
        """Raise if a series was lost; called before one is inserted, whose counters would start again at 0."""
        if not self._is_checked and self.select(LOST_SERIES):
            raise sqlite3.DatabaseError("a series is missing")
        self._is_checked = True


@contextlib.contextmanager
def read_transaction(store: Store, now_ms: int) -> Iterator[Transaction]:
    """Read a snapshot of the ledger. Raise UnusableError if there is none or it cannot be read."""
    try:
        with store.snapshot() as transaction:
            yield Transaction(transaction, now_ms)
    except UnusableError as failure:
        if not isinstance(failure, MissingError):
            store.warn(failure.line("Its hours are not used"))
        raise


def check_ledger(store: Store, now_ms: int) -> None:
    """Read the whole state. Raise UnusableError if a part of it is damaged, or if there is none."""
    with store.snapshot() as snapshot:
        transaction = Transaction(snapshot, now_ms)
        transaction.logical_time()
        for table in ("questions", "consumers", "prices"):
            transaction.select(f"SELECT * FROM {table}")
        for series, *_ in transaction.select("SELECT * FROM series"):  # apart: together they may be a million rows
            for columns in ("* FROM hours", f"{SUMS} FROM hours", "* FROM days"):
                transaction.select(f"SELECT {columns} WHERE series = ?", (series,))
        for (value,) in transaction.select("SELECT value FROM entries"):
            msgspec.json.decode(value)
        transaction.raise_if_series_lost()


@contextlib.contextmanager
def write_transaction(store: Store, now_ms: int, answered: bool = True) -> Iterator[Transaction]:
    """Change the ledger in one transaction. Raise UnusableError if the state cannot be written."""
    with store.transaction() as transaction:
        yield Transaction(transaction, now_ms, answered)


def _are_valid(name: str, column: Row) -> bool:
    kinds = {*map(type, column)}
    if name in TEXT_COLUMNS:
        return kinds == {str}
    if kinds != {int} or (name in FULL_HOUR_COLUMNS and any(value % HOUR for value in column)):
        return False
    return bool(max(map(abs, column)) < MAX_TIME_MS if name in TIME_COLUMNS else min(column) >= 0)
