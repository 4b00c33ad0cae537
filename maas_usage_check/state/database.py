"""The SQLite file: opened with care, and each reason why it cannot be used named with its remedy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import Iterator, Optional, Tuple

from .failures import FULL, NOT_OURS, TROUBLES, MissingError, UnusableError, has_room, named
from .permissions import make_file, make_folder

APPLICATION = 0x4D614155
"""In the file's header (`PRAGMA application_id`): the file is this plugin's."""
VERSION = 1
SCHEMA = "CREATE TABLE entries (kind TEXT, name TEXT, value TEXT, changed REAL, PRIMARY KEY (kind, name))"
PATIENCE = 2.0
"""Seconds to wait for another process that writes: it takes milliseconds, unless it was stopped."""
SMALL_LOG = 64
"""Pages of the write-ahead log until it is folded into the file: every run that opens the file reads the log."""


class Database:
    """Hold one file open, and one change of it at a time.

    Every method raises UnusableError, after which the next change opens the file anew. Not for several threads
    at once: whoever calls holds a lock.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: Optional[sqlite3.Connection] = None
        self._identity: Optional[Tuple[int, int]] = None
        self._patience = PATIENCE
        self._durable: Optional[bool] = None

    def begin(self, durable: bool) -> None:
        """Take the file's write lock; `durable` is for a change that must survive a power failure, not a kill alone."""
        with self._told():
            connection = self._opened()
            if durable is not self._durable:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
            self._patience = PATIENCE
            connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}")  # after a trouble it was opened with 0

    def get(self, kind: str, name: str) -> bytes:
        """Return a value as it is within the change; empty where there is none."""
        with self._told():
            return _value(self._held(), kind, name)

    def put(self, kind: str, name: str, value: bytes, now: float) -> None:
        """Set a value within the change."""
        row = (kind, name, value.decode(), now)
        with self._told():
            self._held().execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", row)

    def forget(self, kind: str, before: float) -> None:
        """Drop the values of a kind that were last set before a time."""
        with self._told():
            self._held().execute("DELETE FROM entries WHERE kind = ? AND changed < ?", (kind, before))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change tables that are another room's, in one transaction; what the block raises undoes it."""
        with self._told():
            self.begin(durable=False)
            connection = self._held()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def read_snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read tables that are another room's, as they are at one moment; nothing is changed, no file made."""
        try:
            if self._find() is None:
                raise MissingError(f"there is no state file {self.path}")
            with contextlib.closing(self._reader("mode=ro", PATIENCE)) as connection:
                ours = _pragma(connection, "application_id") == APPLICATION
                if not ours or _pragma(connection, "user_version") > VERSION:
                    what = "another program's, or a newer version's"
                    raise UnusableError(f"{self.path}: cannot read the state: it is {what}", NOT_OURS)
                connection.execute("BEGIN")
                yield connection
        except TROUBLES as error:
            raise named(error, self.path, "read") from None

    def commit(self) -> None:
        """End the change and keep it."""
        with self._told():
            self._held().execute("COMMIT")

    def rollback(self) -> None:
        """End the change as if it had not been."""
        with contextlib.suppress(UnusableError), self._told():
            self._held().execute("ROLLBACK")

    def check_writable(self, now: float) -> None:
        """Write a little to the disk, as durably as a refusal."""
        with self._told():
            self.begin(durable=True)
            self.put("Check", "", b"{}", now)
            self.commit()
            if not has_room(self.path):  # a log that has room left hides it
                raise UnusableError(f"{self.path}: cannot write the state: {FULL[0]}", FULL[1])

    def peek(self, kind: str, name: str) -> Optional[bytes]:
        """Read a value of a file that cannot be written; empty where there is none, None where it cannot be read."""
        try:
            if self._find() is None:  # nor is a pipe opened, which would wait for a writer
                return b""
        except (OSError, UnusableError):
            return None
        # A file without a log, in a folder that cannot be written, opens only as one that nobody changes.
        for how in ("mode=ro", "immutable=1"):
            with contextlib.suppress(*TROUBLES), contextlib.closing(self._reader(how, 0)) as connection:
                return _value(connection, kind, name)
        return None

    def _reader(self, how: str, patience: float) -> sqlite3.Connection:
        from urllib.parse import quote

        url = f"file:{quote(self.path)}?{how}"
        return sqlite3.connect(url, timeout=patience, uri=True, isolation_level=None)

    def close(self) -> None:
        """Let go of the file, its log folded into it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*TROUBLES):
                connection.close()

    def _held(self) -> sqlite3.Connection:
        assert self._connection is not None, "begin comes first"
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        found = self._find()
        if self._connection is not None and found == self._identity:
            return self._connection
        self.close()  # another file is there now: the old one was moved away
        if found is None:
            self._create()
        connection = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity, self._durable = connection, self._find(), None
        return connection

    def _find(self) -> Optional[Tuple[int, int]]:
        try:
            found = os.lstat(self.path)  # what a link leads to is not ours to write
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise UnusableError(f"{self.path}: cannot use the state: it is not a regular file", NOT_OURS)
        return found.st_dev, found.st_ino

    def _create(self) -> None:
        make_folder(os.path.dirname(self.path))
        os.close(make_file(self.path))  # SQLite itself would let others read it

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make a new file ours; refuse one that is another program's or a newer version's."""
        if _pragma(connection, "application_id") != APPLICATION:
            connection.execute("BEGIN IMMEDIATE")  # of processes that start at once one makes it
            if _pragma(connection, "application_id") == 0 and not _pragma(connection, "schema_version"):
                connection.execute(SCHEMA)
                connection.execute(f"PRAGMA application_id={APPLICATION}")
                connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
            if _pragma(connection, "application_id") != APPLICATION:
                raise UnusableError(f"{self.path}: cannot use the state: it is another program's", NOT_OURS)
        if _pragma(connection, "user_version") > VERSION:
            what = f"{self.path}: cannot use the state: a newer version of this plugin wrote it"
            raise UnusableError(what, "update, or set state_dir")
        with contextlib.suppress(sqlite3.OperationalError):  # it works without a log too, but slower
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={SMALL_LOG}")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors into UnusableError; close the file, and do not wait for its lock the next time."""
        try:
            yield
        except UnusableError:
            self._leave()
            raise
        except TROUBLES as error:
            self._leave()
            raise named(error, self.path, "write") from None

    def _leave(self) -> None:
        self.close()
        self._patience = 0.0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _value(connection: sqlite3.Connection, kind: str, name: str) -> bytes:
    # As bytes: of a damaged text, whoever reads it decides.
    statement = "SELECT CAST(value AS BLOB) FROM entries WHERE kind = ? AND name = ?"
    found = connection.execute(statement, (kind, name)).fetchone()
    return (found[0] or b"null") if found else b""
