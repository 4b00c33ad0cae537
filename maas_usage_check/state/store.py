"""The state of a process: transactions on its file, small entries also without it, and locks between processes.

While the file cannot be written, entries are read from it and changed in memory only; as soon as it can be, the file
holds. Nothing is merged.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import time
from typing import Callable, Dict, Iterator, Optional, Tuple, Type

import msgspec

from . import schema
from .database import file_identity, open_file, open_read_only, peek
from .failures import DISK_FULL, FAILURES, MissingError, UnusableError, classify, has_room
from .kernel_lock import KernelLock
from .transaction import T, Transaction, decode, stored_kind

Warn = Callable[[str], None]
EntryId = Tuple[str, str]
"""Kind and name."""
WAITS_FORGOTTEN = "Waits after a refusal are forgotten at exit"
DAMAGED = "state entry damaged and reset: a wait after a refusal may be lost; check the access key"
BUSY_TIMEOUT_S = 2.0
"""To wait for another process or thread that writes. A write takes milliseconds unless the process was stopped."""
HANG_S = 0.5
"""An operation on the file that takes longer counts as hanging."""


class Check(msgspec.Struct):
    """Written to find out if the file can be."""


class Store:
    """Run transactions on one file. Without a file there are only entries, in memory.

    Args:
        find_path: names the file, or raises UnusableError; called when the file is first needed. None: no file.
        warn: receives one line, once for each failure.
        now: seconds since 1970.

    Attributes:
        unreadable: there is a file that cannot be read: refusals of other runs are unknown then.
    """

    def __init__(
        self,
        find_path: Optional[Callable[[], str]] = None,
        warn: Warn = lambda text: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.unreadable = False
        self._find_path = find_path
        self._warn = warn
        self._now = now
        self._path = ""
        self._kernel_lock = KernelLock()
        self._connection: Optional[sqlite3.Connection] = None
        self._identity: Optional[Tuple[int, int]] = None
        self._durable: Optional[bool] = None
        self._file_lock = threading.Lock()
        self._memory_lock = threading.Lock()
        self._last_stored: Dict[EntryId, bytes] = {}
        self._unstored: Dict[EntryId, bytes] = {}
        """Entries that were changed in memory since the file could not be written."""
        self._last_warning = ""
        self._lock_timeout_s = self._busy_timeout_s = BUSY_TIMEOUT_S
        self._entered_s = math.inf
        """When a thread entered the file, monotonic; inf while none is in it."""

    @contextlib.contextmanager
    def transaction(self, durable: bool = False) -> Iterator[Transaction]:
        """Change the state in one transaction; an exception in the block rolls it back.

        Raises UnusableError, here or at the end of the block, if the file is damaged or cannot be written: nothing was
        changed then. A change that is `durable` survives a power failure, not just a kill.
        """
        with self._use_file("write") as path:
            connection = self._connect(path)
            if durable is not self._durable:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._busy_timeout_s = BUSY_TIMEOUT_S
                connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")  # opened with 0 after a failure
                yield Transaction(connection, self._now())
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has already ended it
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Read the state as of one moment; raise UnusableError if it cannot be read, MissingError if there is none.

        A file of an earlier version is migrated first.
        """
        with self._use_file("read") as path:
            if file_identity(path) is None:
                raise MissingError(f"there is no state file {path}")
            with contextlib.closing(open_read_only(path, BUSY_TIMEOUT_S)) as connection:
                if not schema.is_current(connection, path):
                    self._connect(path)
                connection.execute("BEGIN")
                yield Transaction(connection)

    @contextlib.contextmanager
    def entry(self, kind: Type[T], name: str, durable: bool = False) -> Iterator[T]:
        """Change one entry in one transaction, in memory where the file cannot be written.

        A damaged entry is reset. An exception in the block rolls back.
        """
        entry_id = stored_kind(kind), name
        entry: Optional[T] = None
        is_over = False
        try:
            if self._unstored:
                self.check_writable()
            with self.transaction(durable) as transaction:
                old = transaction.read(*entry_id)
                entry = self._decode(old, kind)
                yield entry
                is_over, text = True, msgspec.json.encode(entry)
                if text != old:
                    transaction.put(name, entry)
        except UnusableError as failure:
            if entry is not None and not is_over:
                raise  # the block's own
            if not isinstance(failure, MissingError):
                self.warn(failure.line(WAITS_FORGOTTEN))
            with self._memory_lock:
                if entry is None:
                    entry = self._decode(self._read_unwritable(entry_id), kind)
                    yield entry
                self._unstored[entry_id] = msgspec.json.encode(entry)
        else:
            self._last_stored[entry_id] = text
            self._unstored.clear()
            self._last_warning, self.unreadable = "", False

    def check_writable(self) -> str:
        """Write a small value as durably as a refusal; return the file's path. Raise UnusableError if that fails."""
        with self.transaction(durable=True) as transaction:
            transaction.put("", Check())
        if not has_room(self._path):  # free pages in the log would hide a full disk
            raise UnusableError(f"{self._path}: cannot write the state: {DISK_FULL[0]}", DISK_FULL[1])
        return self._path

    @property
    def hangs(self) -> bool:
        """True if a thread hangs in the file."""
        return time.monotonic() - self._entered_s > HANG_S

    def hang_error(self) -> UnusableError:
        """Return the error for a state folder that does not answer. It names the folder if that is known."""
        return UnusableError(f"the state folder {os.path.dirname(self._path)}".rstrip() + " does not answer")

    def acquire(self, name: str) -> Optional[bool]:
        """Acquire a lock between processes: True if this process has it; None if the system cannot say.

        The kernel frees it when the process dies.
        """
        if self._find_path is None:  # without a file no other process can see the entries
            return True
        return self._kernel_lock.acquire(name)

    def release(self, name: str) -> None:
        """Release a lock."""
        self._kernel_lock.release(name)

    def warn(self, text: str) -> None:
        """Pass a warning on, once while it stays the same."""
        if text != self._last_warning:
            self._last_warning = text
            self._warn(text)

    def close(self) -> None:
        """Close the file, so that the next run need not read its log; skipped while a thread is in it."""
        if self._file_lock.acquire(blocking=False):
            try:
                self._disconnect()
            finally:
                self._file_lock.release()

    @contextlib.contextmanager
    def _use_file(self, action: str) -> Iterator[str]:
        """Lock the file for this thread and classify its failures.

        Raises UnusableError if there is no file, or if another thread hangs in it.
        """
        if self._find_path is None:
            raise MissingError("there is no state file")
        if not self._file_lock.acquire(timeout=self._lock_timeout_s):
            self._lock_timeout_s, self.unreadable = 0.0, True
            raise self.hang_error()
        self._lock_timeout_s, self._entered_s = BUSY_TIMEOUT_S, time.monotonic()
        try:
            if not self._path:
                self._path = self._find_path()
                self._kernel_lock.path = f"{self._path}-lock"
            yield self._path
        except FAILURES as error:  # the next transaction opens the file again, and does not wait for its lock
            self._disconnect()
            self._busy_timeout_s = 0.0
            raise classify(error, self._path, action) from None
        finally:
            self._entered_s = math.inf
            self._file_lock.release()

    def _connect(self, path: str) -> sqlite3.Connection:
        """Return the open connection, or open a new one if the file was replaced or moved away."""
        if self._connection is None or file_identity(path) != self._identity:
            self._disconnect()
            self._connection, self._durable = open_file(path, self._busy_timeout_s), None
            self._identity = file_identity(path)
        return self._connection

    def _disconnect(self) -> None:
        """Close the file; SQLite then merges the log into it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):
                connection.close()

    def _read_unwritable(self, entry_id: EntryId) -> bytes:
        """Read what this process changed in memory, what the file has, or what this process last stored in it."""
        if entry_id in self._unstored:
            return self._unstored[entry_id]
        with contextlib.suppress(UnusableError), self._use_file("read") as path:
            text = peek(path, *entry_id)  # a wait stored before the disk was full must still be kept
            self.unreadable = text is None
            if text is not None:
                return text
        return self._last_stored.get(entry_id, b"")

    def _decode(self, text: bytes, kind: Type[T]) -> T:
        try:
            return decode(text, kind)
        except ValueError:
            self.warn(DAMAGED)
            return kind()
