"""The tables of the history in the store's file, and one transaction over them."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Iterator, Type, TypeVar

import msgspec

from ..store import Store
from .hours import FIELDS

COLUMNS = ", ".join(FIELDS)
SUMS = ", ".join(f"COALESCE(SUM({name}), 0)" for name in FIELDS)
_INTEGERS = ", ".join(f"{name} INTEGER" for name in FIELDS)
_COUNTS = ", ".join(f"{kind}_{name} INTEGER DEFAULT 0" for kind in ("frozen", "counted") for name in FIELDS)
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY, at INTEGER)",
    # Hours before `frozen_until` are never asked again, and their sums are frozen_...; counted_... never falls.
    "CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT UNIQUE, began INTEGER, hours_from INTEGER, "
    f"frozen_until INTEGER DEFAULT 0, asked INTEGER DEFAULT 0, checked INTEGER DEFAULT 0, {_COUNTS})",
    # `changed` is 0 while an hour without use is not settled: it is known, but not worth a point yet.
    f"CREATE TABLE IF NOT EXISTS hours (series INTEGER, start INTEGER, {_INTEGERS}, settled INTEGER, changed INTEGER, "
    "PRIMARY KEY (series, start)) WITHOUT ROWID",
    # The totals are NULL where the window is to be asked whole, else its part from `newer` on is asked next.
    f"CREATE TABLE IF NOT EXISTS questions (series INTEGER, start INTEGER, until INTEGER, newer INTEGER, {_INTEGERS}, "
    "PRIMARY KEY (series, start, until)) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS consumers (name TEXT, series INTEGER, at INTEGER, {_INTEGERS}, "
    "PRIMARY KEY (name, series)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS notes (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID",
)

T = TypeVar("T", bound=msgspec.Struct)


class Book:
    """Hold one transaction over the history.

    Args:
        connection: in the transaction.
        now: milliseconds since 1970.
        answered: whether the cloud has answered in this cycle.
    """

    def __init__(self, connection: sqlite3.Connection, now: int, answered: bool = True) -> None:
        self.run = connection.execute
        self.run_many = connection.executemany
        self.now = now
        self._answered = answered

    def tick(self) -> int:
        """Return the history's time in milliseconds.

        It never goes back, also where the machine's clock does, and only moves when the cloud has answered: it refuses
        a clock that is wrong.
        """
        if self._answered:
            self.run(
                "INSERT INTO clock VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = MAX(at, excluded.at)", (self.now,)
            )
        row = self.run("SELECT at FROM clock").fetchone()
        return int(row[0]) if row else 0

    def note(self, kind: Type[T], name: str) -> T:
        """Read a note; all fields of a new one have their defaults."""
        found = self.run("SELECT value FROM notes WHERE kind = ? AND name = ?", (kind.__name__, name)).fetchone()
        return msgspec.json.decode(found[0], type=kind) if found else kind()

    def keep(self, name: str, note: msgspec.Struct) -> None:
        """Keep a note."""
        text = msgspec.json.encode(note).decode()
        self.run("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (type(note).__name__, name, text))


@contextlib.contextmanager
def look_into_book(store: Store, now: int) -> Iterator[Book]:
    """Read the history as it is at one moment; raise UnusableError where there is none, or it cannot be read."""
    with store.look() as connection:
        yield Book(connection, now)


@contextlib.contextmanager
def open_book(store: Store, now: int, answered: bool = True) -> Iterator[Book]:
    """Change the history in one transaction; raise UnusableError where the store cannot be written."""
    with store.tables() as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        yield Book(connection, now, answered)
