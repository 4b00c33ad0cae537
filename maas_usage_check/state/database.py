"""The SQLite file. Every failure is an UnusableError that names cause and remedy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import Iterator, Optional, Tuple
from urllib.parse import quote

from .failures import DISK_FULL, FAILURES, MOVE_AWAY, MissingError, UnusableError, classify, has_room
from .permissions import make_file, make_folder

APPLICATION_ID = 0x4D614155
"""In the file's header (`PRAGMA application_id`): marks the file as this plugin's."""
SCHEMA_VERSION = 1
SCHEMA = "CREATE TABLE entries (kind TEXT, name TEXT, value TEXT, changed REAL, PRIMARY KEY (kind, name))"
BUSY_TIMEOUT_S = 2.0
"""To wait for another process that writes. A write takes milliseconds unless the process was stopped."""
CHECKPOINT_PAGES = 64
"""Pages of the write-ahead log before a checkpoint: every run that opens the file reads the log."""


class Database:
    """Hold one file open, with at most one transaction at a time.

    Every method raises UnusableError; the next transaction then opens the file again. Not thread-safe: the caller
    holds a lock.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: Optional[sqlite3.Connection] = None
        self._identity: Optional[Tuple[int, int]] = None
        self._busy_timeout_s = BUSY_TIMEOUT_S
        self._durable: Optional[bool] = None

    def begin(self, durable: bool) -> None:
        """Begin a transaction with the write lock; if `durable`, it survives a power failure, not just a kill."""
        with self._classify_failures():
            connection = self._connect()
            if durable is not self._durable:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
            self._busy_timeout_s = BUSY_TIMEOUT_S
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")  # opened with 0 after a failure

    def get(self, kind: str, name: str) -> bytes:
        """Return a value within the transaction; empty if there is none."""
        with self._classify_failures():
            return _read_value(self._require_connection(), kind, name)

    def put(self, kind: str, name: str, value: bytes, now_s: float) -> None:
        """Set a value within the transaction."""
        row = (kind, name, value.decode(), now_s)
        with self._classify_failures():
            self._require_connection().execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", row)

    def delete_older(self, kind: str, before_s: float) -> None:
        """Delete the values of a kind whose last change was before a time."""
        with self._classify_failures():
            statement = "DELETE FROM entries WHERE kind = ? AND changed < ?"
            self._require_connection().execute(statement, (kind, before_s))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change tables of another room in one transaction; an exception in the block rolls it back."""
        with self._classify_failures():
            self.begin(durable=False)
            connection = self._require_connection()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has already ended it
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def read_snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read tables of another room as of one moment. Nothing is changed; no file is created."""
        try:
            if self._file_identity() is None:
                raise MissingError(f"there is no state file {self.path}")
            with contextlib.closing(self._open_read_only("mode=ro", BUSY_TIMEOUT_S)) as connection:
                is_ours = _read_pragma(connection, "application_id") == APPLICATION_ID
                if not is_ours or _read_pragma(connection, "user_version") > SCHEMA_VERSION:
                    owner = "another program's, or a newer version's"
                    raise UnusableError(f"{self.path}: cannot read the state: it is {owner}", MOVE_AWAY)
                connection.execute("BEGIN")
                yield connection
        except FAILURES as error:
            raise classify(error, self.path, "read") from None

    def commit(self) -> None:
        """Commit the transaction."""
        with self._classify_failures():
            self._require_connection().execute("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back."""
        with contextlib.suppress(UnusableError), self._classify_failures():
            self._require_connection().execute("ROLLBACK")

    def check_writable(self, now_s: float) -> None:
        """Write a small value as durably as a refusal."""
        with self._classify_failures():
            self.begin(durable=True)
            self.put("Check", "", b"{}", now_s)
            self.commit()
            if not has_room(self.path):  # free pages in the log would hide a full disk
                raise UnusableError(f"{self.path}: cannot write the state: {DISK_FULL[0]}", DISK_FULL[1])

    def peek(self, kind: str, name: str) -> Optional[bytes]:
        """Read a value of a file that cannot be written; empty if there is none, None if it cannot be read."""
        try:
            if self._file_identity() is None:  # a pipe is not opened either: that would wait for a writer
                return b""
        except (OSError, UnusableError):
            return None
        # A file without a log in a read-only folder opens only as immutable.
        for mode in ("mode=ro", "immutable=1"):
            with contextlib.suppress(*FAILURES), contextlib.closing(self._open_read_only(mode, 0)) as connection:
                return _read_value(connection, kind, name)
        return None

    def _open_read_only(self, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
        url = f"file:{quote(self.path)}?{mode}"
        return sqlite3.connect(url, timeout=busy_timeout_s, uri=True, isolation_level=None)

    def close(self) -> None:
        """Close the file; SQLite then merges the log into it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):
                connection.close()

    def _require_connection(self) -> sqlite3.Connection:
        assert self._connection is not None, "begin comes first"
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        """Return the open connection, or open a new one if the file was replaced or moved away."""
        identity = self._file_identity()
        if self._connection is not None and identity == self._identity:
            return self._connection
        self.close()
        if identity is None:
            self._create()
        timeout = self._busy_timeout_s
        connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            self._initialise(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity, self._durable = connection, self._file_identity(), None
        return connection

    def _file_identity(self) -> Optional[Tuple[int, int]]:
        """Return device and inode of the file, None if there is none; raise UnusableError for a link or a pipe."""
        try:
            found = os.lstat(self.path)  # the target of a link is not ours to write
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise UnusableError(f"{self.path}: cannot use the state: it is not a regular file", MOVE_AWAY)
        return found.st_dev, found.st_ino

    def _create(self) -> None:
        make_folder(os.path.dirname(self.path))
        os.close(make_file(self.path))  # SQLite itself would create it readable by others

    def _initialise(self, connection: sqlite3.Connection) -> None:
        """Set up a new file; refuse one of another program or of a newer version."""
        if _read_pragma(connection, "application_id") != APPLICATION_ID:
            connection.execute("BEGIN IMMEDIATE")  # of processes that start at once, one sets it up
            if _read_pragma(connection, "application_id") == 0 and not _read_pragma(connection, "schema_version"):
                connection.execute(SCHEMA)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
            if _read_pragma(connection, "application_id") != APPLICATION_ID:
                raise UnusableError(f"{self.path}: cannot use the state: it is another program's", MOVE_AWAY)
        if _read_pragma(connection, "user_version") > SCHEMA_VERSION:
            problem = f"{self.path}: cannot use the state: a newer version of this plugin wrote it"
            raise UnusableError(problem, "update, or set state_dir")
        with contextlib.suppress(sqlite3.OperationalError):  # without a write-ahead log it works too, but slower
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")

    @contextlib.contextmanager
    def _classify_failures(self) -> Iterator[None]:
        """Turn a failure into UnusableError; close the file, and do not wait for its lock the next time."""
        try:
            yield
        except UnusableError:
            self._close_after_failure()
            raise
        except FAILURES as error:
            self._close_after_failure()
            raise classify(error, self.path, "write") from None

    def _close_after_failure(self) -> None:
        self.close()
        self._busy_timeout_s = 0.0


def _read_pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _read_value(connection: sqlite3.Connection, kind: str, name: str) -> bytes:
    # As bytes: the caller handles a damaged text.
    statement = "SELECT CAST(value AS BLOB) FROM entries WHERE kind = ? AND name = ?"
    found = connection.execute(statement, (kind, name)).fetchone()
    return (found[0] or b"null") if found else b""
