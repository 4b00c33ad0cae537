"""The tables of the history in the store's file, and one transaction over them."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from typing import Any, Callable, Iterator, Sequence, Tuple, Type, TypeVar

import msgspec

from ..state import MissingError, Store, UnusableError
from .hour_values import FIELDS, HOUR

COLUMNS = ", ".join(FIELDS)
LARGEST = 2 * 10**14
"""Of one hour: two classes of errors, each as large as Cloud Eye is believed."""
# What is no such number makes the sum none: SQLite itself would leave it out.
SUMS = ", ".join(
    f"COALESCE(SUM(CASE WHEN {name} BETWEEN 0 AND {LARGEST} THEN {name} ELSE '' END), 0)" for name in FIELDS
)
_INTEGERS = ", ".join(f"{name} INTEGER" for name in FIELDS)
_COUNTS = ", ".join(f"{kind}_{name} INTEGER DEFAULT 0" for kind in ("frozen", "counted") for name in FIELDS)
SCHEMA = (
    "CREATE TABLE clock (id INTEGER PRIMARY KEY, at INTEGER)",
    "INSERT INTO clock VALUES (1, 0)",
    # `began` is 0 until the history begins. Hours before `frozen_until` are never asked again, and their sums are
    # frozen_...; counted_... never falls.
    "CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT UNIQUE, "
    "began INTEGER DEFAULT 0, hours_from INTEGER DEFAULT 0, "
    f"frozen_until INTEGER DEFAULT 0, asked INTEGER DEFAULT 0, checked INTEGER DEFAULT 0, {_COUNTS})",
    # `changed` is 0 while an hour without use is not settled: it is known, but not worth a point yet.
    f"CREATE TABLE hours (series INTEGER, start INTEGER, {_INTEGERS}, settled INTEGER, changed INTEGER, "
    "PRIMARY KEY (series, start)) WITHOUT ROWID",
    # The totals are NULL where the window is to be asked whole, else its part from `newer` on is asked next.
    f"CREATE TABLE questions (series INTEGER, start INTEGER, until INTEGER, newer INTEGER, {_INTEGERS}, "
    "PRIMARY KEY (series, start, until)) WITHOUT ROWID",
    f"CREATE TABLE consumers (name TEXT, series INTEGER, at INTEGER, {_INTEGERS}, "
    "PRIMARY KEY (name, series)) WITHOUT ROWID",
    "CREATE TABLE notes (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID",
)

# A series whose name is no digest any more, or hours and counts of none.
LOST = (
    "SELECT 1 FROM series WHERE typeof(name) <> 'text' OR (LENGTH(name) = 32 AND name GLOB '*[^0-9a-f]*') "
    + " ".join(
        f"UNION SELECT 1 FROM {table} WHERE series NOT IN (SELECT id FROM series)"
        for table in ("hours", "questions", "consumers")
    )
)
TEXTS = frozenset({"kind", "name", "value"})
EDGES = frozenset({"start", "until", "newer"})
TIMES = EDGES | {"at", "began", "hours_from", "frozen_until", "asked", "checked", "changed"}
END_OF_TIME = 2**42
"""Milliseconds, in the year 2109: a later time is none, and would not fit into a point."""

T = TypeVar("T", bound=msgspec.Struct)
Row = Tuple[Any, ...]


class Transaction:
    """Hold one transaction over the history.

    Args:
        connection: in the transaction.
        now: milliseconds since 1970.
        answered: whether the cloud has answered in this cycle.
    """

    def __init__(self, connection: sqlite3.Connection, now_ms: int, answered: bool = True) -> None:
        self._connection = connection
        self._is_checked = False
        self.run_many = connection.executemany
        self.now_ms = now_ms
        self._answered = answered

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement; its rows hold what the tables may hold, else the file is damaged."""
        cursor = self._connection.execute(statement, values)
        if cursor.description:
            cursor.row_factory = _checker(tuple(column[0] for column in cursor.description))
        return cursor

    def advance_logical_clock(self) -> int:
        """Return the history's time in milliseconds.

        It never goes back, also where the machine's clock does, and only moves when the cloud has answered: it refuses
        a clock that is wrong.
        """
        if self._answered:
            self.run("UPDATE clock SET at = MAX(at, ?)", (self.now_ms,))
        return self.logical_time()

    def logical_time(self) -> int:
        """Return the history's time as it was last set."""
        row = self.run("SELECT at FROM clock").fetchone()
        if row is None:
            raise sqlite3.DatabaseError("the clock is missing")
        return int(row[0])

    def check_series(self) -> None:
        """Raise where a series was lost before another is made new: its counts would begin again at 0."""
        if not self._is_checked and self.run(LOST).fetchone():
            raise sqlite3.DatabaseError("a series is missing")
        self._is_checked = True

    def get(self, kind: Type[T], name: str) -> T:
        """Read an entry of the table `notes`; a missing one has its defaults."""
        found = self.run("SELECT value FROM notes WHERE kind = ? AND name = ?", (_stored_kind(kind), name)).fetchone()
        return msgspec.json.decode(found[0], type=kind) if found else kind()

    def put(self, name: str, entry: msgspec.Struct) -> None:
        """Write an entry of the table `notes`."""
        text = msgspec.json.encode(entry).decode()
        self.run("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (_stored_kind(type(entry)), name, text))


def _stored_kind(kind: Type[msgspec.Struct]) -> str:
    """Return the class name, or the name under which entries of a renamed class are stored."""
    return getattr(kind, "stored_kind", kind.__name__)


@contextlib.contextmanager
def read_transaction(store: Store, now_ms: int) -> Iterator[Transaction]:
    """Read the history as it is at one moment; raise UnusableError where there is none, or it cannot be read."""
    try:
        with store.read_snapshot() as connection:
            yield _found(connection, now_ms)
    except UnusableError as trouble:
        if not isinstance(trouble, MissingError):
            store.warn(trouble.line("What it holds is not used"))
        raise


def check_ledger(store: Store, now_ms: int) -> None:
    """Read all of the history; raise UnusableError where some of it is damaged, or there is none."""
    with store.read_snapshot() as connection:
        transaction = _found(connection, now_ms)
        transaction.logical_time()
        for what in ("* FROM series", "* FROM hours", f"{SUMS} FROM hours", "* FROM questions", "* FROM consumers"):
            transaction.run(f"SELECT {what}").fetchall()
        for (value,) in transaction.run("SELECT value FROM notes"):
            msgspec.json.decode(value)
        transaction.check_series()


@contextlib.contextmanager
def write_transaction(store: Store, now_ms: int, answered: bool = True) -> Iterator[Transaction]:
    """Change the history in one transaction; raise UnusableError where the store cannot be written."""
    with store.transaction() as connection:
        if not _is_made(connection):
            for statement in SCHEMA:  # a table that alone is there, or not, is damage
                connection.execute(statement)
        yield Transaction(connection, now_ms, answered)


def _found(connection: sqlite3.Connection, now_ms: int) -> Transaction:
    if not _is_made(connection):
        raise MissingError("there is no history yet")
    return Transaction(connection, now_ms)


def _is_made(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'clock'").fetchone() is not None


@functools.lru_cache(maxsize=None)
def _checker(names: Tuple[str, ...]) -> Callable[[sqlite3.Cursor, Row], Row]:
    """Make the check of rows with these columns."""
    may_be_null = frozenset(FIELDS if "newer" in names else ())  # the totals of a question

    def check(_: sqlite3.Cursor, row: Row) -> Row:
        for name, value in zip(names, row):
            if not (_is_sound(name, value) or (value is None and name in may_be_null)):
                what = f"`{name}` of a row is not what it may be" if name.isidentifier() else "a sum is no whole number"
                raise sqlite3.DatabaseError(what)
        return row

    return check


def _is_sound(name: str, value: Any) -> bool:
    if name in TEXTS:
        return isinstance(value, str)
    if not isinstance(value, int):
        return False
    if name in TIMES:
        return abs(value) < END_OF_TIME and (name not in EDGES or value % HOUR == 0)
    return value >= 0
