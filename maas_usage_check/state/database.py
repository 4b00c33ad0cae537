"""How the SQLite file is opened: for reading and writing, or for reading only."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import Optional, Tuple
from urllib.parse import quote

from . import schema
from .failures import FAILURES, MOVE_AWAY, UnusableError
from .permissions import make_file, make_folder
from .transaction import Transaction

CHECKPOINT_PAGES = 64
"""Pages of the write-ahead log before a checkpoint: every run that opens the file reads the log."""


def file_identity(path: str) -> Optional[Tuple[int, int]]:
    """Return device and inode of the file, None if there is none; raise UnusableError for a link or a pipe."""
    try:
        found = os.lstat(path)  # the target of a link is not ours to write
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UnusableError(f"{path}: cannot use the state: it is not a regular file", MOVE_AWAY)
    return found.st_dev, found.st_ino


def open_file(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file, with all tables of this version; create it if it is missing."""
    if file_identity(path) is None:
        make_folder(os.path.dirname(path))
        os.close(make_file(path))  # SQLite itself would create it readable by others
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    try:
        schema.migrate(connection, path)
        with contextlib.suppress(sqlite3.OperationalError):  # without a write-ahead log it works too, but slower
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_read_only(path: str, busy_timeout_s: float, mode: str = "mode=ro") -> sqlite3.Connection:
    """Open the file so that nothing can be changed."""
    return sqlite3.connect(f"file:{quote(path)}?{mode}", timeout=busy_timeout_s, uri=True, isolation_level=None)


def peek(path: str, kind: str, name: str) -> Optional[bytes]:
    """Read an entry of a file that cannot be written; empty if there is none, None if it cannot be read."""
    try:
        if file_identity(path) is None:  # a pipe is not opened either: that would wait for a writer
            return b""
    except (OSError, UnusableError):
        return None
    for mode in ("mode=ro", "immutable=1"):  # without a log, in a read-only folder, it opens only as immutable
        with contextlib.suppress(*FAILURES), contextlib.closing(open_read_only(path, 0, mode)) as connection:
            return Transaction(connection).read(kind, name)
    return None
