"""Small entries that outlive a run, by kind and name; each change is one transaction.

While the file cannot be used, the entries live in memory; as soon as it can be, those of the file hold.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Callable, ClassVar, Dict, Iterator, Optional, Protocol, Tuple, Type, TypeVar

import msgspec

from .database import BUSY_TIMEOUT_S, Database
from .failures import MissingError, UnusableError
from .kernel_lock import KernelLock

if TYPE_CHECKING:
    import sqlite3

Warn = Callable[[str], None]
EntryId = Tuple[str, str]
"""Kind and name."""
WAITS_FORGOTTEN = "Waits after a refusal are forgotten at exit"
HANG_S = 0.5
"""An operation on the file that takes longer counts as hanging."""


class StoredEntry(Protocol):
    """A kind of entry: a msgspec Struct whose fields all have defaults. Its class name is the stored kind."""

    max_age_s: ClassVar[float]
    """Seconds after its last change until an entry is deleted."""


T = TypeVar("T", bound=StoredEntry)


class Store:
    """Store entries in a file or, without one, in memory.

    Args:
        find_path: names the file, or raises UnusableError; called when the file is first needed. None: memory only.
        warn: receives one line, once for each failure.
        now: seconds since 1970.
    """

    def __init__(
        self,
        find_path: Optional[Callable[[], str]] = None,
        warn: Warn = lambda text: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._find_path = find_path
        self._warn = warn
        self._now = now
        self._database: Optional[Database] = None
        self._kernel_lock: Optional[KernelLock] = None
        self._file_lock = threading.Lock()
        self._memory_lock = threading.Lock()
        self._in_memory: Dict[EntryId, bytes] = {}
        self._last_warning = ""
        self._unreadable = self._unwritable = False
        self._lock_timeout_s = BUSY_TIMEOUT_S
        self._entered_s = math.inf
        """When a thread entered the file, monotonic; inf while none is in it."""

    @contextlib.contextmanager
    def entry(self, kind: Type[T], name: str, durable: bool = False) -> Iterator[T]:
        """Change one entry in one transaction; an exception in the block rolls it back.

        Args:
            kind: the entry's type; a new entry has its defaults.
            name: identifies the entry within its kind.
            durable: the change survives a power failure, not just a kill.
        """
        entry_id = (kind.__name__, name)
        with contextlib.ExitStack() as file_lock:
            file, old = self._begin(file_lock, entry_id, durable)
            with self._memory_lock if old is None else contextlib.nullcontext():
                entry = self._load_from_memory(file, kind, entry_id) if old is None else self._decode(old, kind)
                try:
                    yield entry
                except BaseException:
                    if file is not None and old is not None:
                        file.rollback()
                    raise
                text = msgspec.json.encode(entry)
                self._in_memory[entry_id] = text
                if file is not None and old is not None:
                    self._write(file, entry_id, old, text, kind.max_age_s)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change tables of another room in one transaction; an exception in the block rolls it back.

        Raises UnusableError, here or at the end of the block, if the file cannot be written: nothing was changed then.
        """
        with self._lock_file() as file, file.transaction() as connection:
            yield connection

    @contextlib.contextmanager
    def read_snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read tables of another room as of one moment; raise UnusableError if they cannot be read."""
        with self._lock_file() as file, file.read_snapshot() as connection:
            yield connection

    def check_writable(self) -> str:
        """Write a small value and return the file's path; raise UnusableError if it cannot be written."""
        with self._lock_file() as file:
            file.check_writable(self._now())
            return file.path

    @property
    def hangs(self) -> bool:
        """True if a thread hangs in the file."""
        return time.monotonic() - self._entered_s > HANG_S

    def hang_error(self) -> UnusableError:
        """Return the error for a state folder that does not answer. It names the folder if that is known."""
        folder = f" {os.path.dirname(self._database.path)}" if self._database else ""
        return UnusableError(f"the state folder{folder} does not answer")

    @property
    def unreadable(self) -> bool:
        """True if there is a file that cannot be read: refusals of other runs are unknown then."""
        return self._unreadable

    def acquire(self, name: str) -> Optional[bool]:
        """Acquire a lock between processes: True if this process has it; None if the system cannot say.

        The kernel frees it when the process dies.
        """
        if self._find_path is None:  # without a file no other process can see the entries
            return True
        return None if self._kernel_lock is None else self._kernel_lock.acquire(name)

    def release(self, name: str) -> None:
        """Release a lock."""
        if self._kernel_lock is not None:
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
                if self._database is not None:
                    self._database.close()
            finally:
                self._file_lock.release()

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[Database]:
        """Lock the file for this thread; raise UnusableError if there is none, or if another thread hangs in it."""
        if self._find_path is None:
            raise MissingError("there is no state file")
        if not self._file_lock.acquire(timeout=self._lock_timeout_s):
            self._lock_timeout_s, self._unreadable = 0.0, True
            raise self.hang_error()
        self._lock_timeout_s, self._entered_s = BUSY_TIMEOUT_S, time.monotonic()
        try:
            yield self._open_database(self._find_path)
        finally:
            self._entered_s = math.inf
            self._file_lock.release()

    def _open_database(self, find_path: Callable[[], str]) -> Database:
        if self._database is None:
            self._database = Database(find_path())
            self._kernel_lock = KernelLock(f"{self._database.path}-lock")
        return self._database

    def _begin(
        self, file_lock: contextlib.ExitStack, entry_id: EntryId, durable: bool
    ) -> Tuple[Optional[Database], Optional[bytes]]:
        """Begin a transaction; return the file and the entry's text, None if the entry must come from memory."""
        file = None
        try:
            file = file_lock.enter_context(self._lock_file())
            if self._unwritable:  # until the file can be written, it lacks the changes in memory
                file.check_writable(self._now())
                self._unwritable = False
            file.begin(durable)
            return file, file.get(*entry_id)
        except UnusableError as failure:
            self._report(failure)
            return file, None

    def _write(self, file: Database, entry_id: EntryId, old: bytes, text: bytes, max_age_s: float) -> None:
        if text == old:
            file.rollback()
            return
        try:
            file.put(*entry_id, text, self._now())
            if not old:
                file.delete_older(entry_id[0], self._now() - max_age_s)
            file.commit()
        except UnusableError as failure:
            self._unwritable = True
            self._report(failure)
        else:
            self._last_warning, self._unreadable = "", False

    def _load_from_memory(self, file: Optional[Database], kind: Type[T], entry_id: EntryId) -> T:
        if entry_id not in self._in_memory and file is not None:
            text = file.peek(*entry_id)  # a wait stored before the disk was full must still be kept
            self._unreadable = text is None
            self._in_memory[entry_id] = text or b""
        return self._decode(self._in_memory.get(entry_id, b""), kind)

    def _decode(self, text: bytes, kind: Type[T]) -> T:
        if not text:
            return kind()
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.warn("state entry damaged and reset: a wait after a refusal may be lost; check the access key")
            return kind()

    def _report(self, failure: UnusableError) -> None:
        if not isinstance(failure, MissingError):
            self.warn(failure.line(WAITS_FORGOTTEN))
