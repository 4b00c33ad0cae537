"""What is kept over runs: small entries by kind and name, each changed in one transaction.

Where the file cannot be used the entries live in memory, and go into the file as soon as it can be written again.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Iterator, Optional, Protocol, Set, Tuple, Type, TypeVar

import msgspec

from .database import PATIENCE, Database
from .failures import MissingError, UnusableError
from .kernel_lock import KernelLock

if TYPE_CHECKING:
    import sqlite3

Warn = Callable[[str], None]
Key = Tuple[str, str]
FORGOTTEN = "Waits after a refusal are forgotten at exit"
HANGS = 0.5
"""Seconds that no change of the file takes, unless it hangs."""


class StoredEntry(Protocol):
    """What a kind of entry is: a msgspec Struct, all of whose fields have defaults."""

    max_age_s: ClassVar[float]
    """Seconds after its last change until an entry is forgotten."""

    def merge(self, unwritten: Any) -> Any:
        """Join what the file says with what was kept in memory while it could not be written."""


T = TypeVar("T", bound=StoredEntry)


class Store:
    """Keep entries in a file or, without one, in memory.

    Args:
        find: names the file, or raises UnusableError; asked when it is first needed. None means memory alone.
        warn: takes one line, once for each trouble.
        now: seconds since 1970.
    """

    def __init__(
        self,
        find: Optional[Callable[[], str]] = None,
        warn: Warn = lambda text: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._find = find
        self._warn = warn
        self._now = now
        self._database: Optional[Database] = None
        self._lock: Optional[KernelLock] = None
        self._file_lock = threading.Lock()
        self._memory_lock = threading.Lock()
        self._known: Dict[Key, bytes] = {}
        self._unwritten: Set[Key] = set()
        self._trouble = ""
        self._unreadable = False
        self._patience = PATIENCE
        self._entered = math.inf

    @contextlib.contextmanager
    def entry(self, kind: Type[T], name: str, durable: bool = False) -> Iterator[T]:
        """Change one entry in one transaction; what the block raises leaves it as it was.

        Args:
            kind: the entry's type; a new one has its defaults.
            name: whose entry it is.
            durable: the change must survive a power failure, not a kill alone.
        """
        key = (kind.__name__, name)
        with contextlib.ExitStack() as held:
            file, old = self._begin(held, key, durable)
            with self._memory_lock if old is None else contextlib.nullcontext():
                entry = self._from_memory(file, kind, key) if old is None else self._from_file(old, kind, key)
                try:
                    yield entry
                except BaseException:
                    if file is not None and old is not None:
                        file.rollback()
                    raise
                text = msgspec.json.encode(entry)
                written = file is not None and old is not None and self._write(file, key, old, text, kind.max_age_s)
                self._known[key] = text
                (self._unwritten.discard if written else self._unwritten.add)(key)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change tables that are another room's, in one transaction; what the block raises undoes it.

        Raise UnusableError, here or at the block's end, where the file cannot be written: then nothing was changed.
        """
        with self._file() as file, file.transaction() as connection:
            yield connection

    @contextlib.contextmanager
    def read_snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read tables that are another room's, as they are at one moment; raise UnusableError where that cannot be."""
        with self._file() as file, file.read_snapshot() as connection:
            yield connection

    def check_writable(self) -> str:
        """Write a little to the disk; return the file's path. Raise UnusableError where it cannot be written."""
        with self._file() as file:
            file.check_writable(self._now())
            return file.path

    @property
    def hangs(self) -> bool:
        """Tell whether a thread hangs in the file."""
        return time.monotonic() - self._entered > HANGS

    def hang_error(self) -> UnusableError:
        """Name the folder that hangs, if it is known yet."""
        folder = f" {os.path.dirname(self._database.path)}" if self._database else ""
        return UnusableError(f"the state folder{folder} does not answer")

    @property
    def unreadable(self) -> bool:
        """Tell whether there is a file that cannot even be read: nobody knows then what other runs have met."""
        return self._unreadable

    def acquire(self, name: str) -> Optional[bool]:
        """Tell whether this process holds a lock now; None where that cannot be known. The kernel frees it at death."""
        if self._find is None:  # what no file holds no other process sees
            return True
        return None if self._lock is None else self._lock.acquire(name)

    def release(self, name: str) -> None:
        """Free a lock."""
        if self._lock is not None:
            self._lock.release(name)

    def warn(self, trouble: str) -> None:
        """Pass a trouble on, once while it lasts."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._warn(trouble)

    def close(self) -> None:
        """Let go of the file, so that the next run need not read its log; not where a thread is still in it."""
        if self._file_lock.acquire(blocking=False):
            try:
                if self._database is not None:
                    self._database.close()
            finally:
                self._file_lock.release()

    @contextlib.contextmanager
    def _file(self) -> Iterator[Database]:
        """Wait for the file's turn; raise UnusableError where there is no file, or where a thread hangs in it."""
        if self._find is None:
            raise MissingError("there is no state file")
        if not self._file_lock.acquire(timeout=self._patience):
            self._patience, self._unreadable = 0.0, True
            raise self.hang_error()
        self._patience, self._entered = PATIENCE, time.monotonic()
        try:
            yield self._named(self._find)
        finally:
            self._entered = math.inf
            self._file_lock.release()

    def _named(self, find: Callable[[], str]) -> Database:
        if self._database is None:
            self._database = Database(find())
            self._lock = KernelLock(f"{self._database.path}-lock")
        return self._database

    def _begin(self, held: contextlib.ExitStack, key: Key, durable: bool) -> Tuple[Optional[Database], Optional[bytes]]:
        """Begin a change of the file; return it and the entry's text, None where memory must serve."""
        file = None
        try:
            file = held.enter_context(self._file())
            file.begin(durable)
            return file, file.get(*key)
        except UnusableError as trouble:
            self._say(trouble)
            return file, None

    def _write(self, file: Database, key: Key, old: bytes, text: bytes, max_age_s: float) -> bool:
        if text == old:
            file.rollback()
            return True
        try:
            file.put(*key, text, self._now())
            if not old:
                file.forget(key[0], self._now() - max_age_s)
            file.commit()
        except UnusableError as trouble:
            self._say(trouble)
            return False
        self._trouble, self._unreadable = "", False
        return True

    def _from_file(self, text: bytes, kind: Type[T], key: Key) -> T:
        entry = self._read(text, kind)
        return entry.merge(self._read(self._known[key], kind)) if key in self._unwritten else entry

    def _from_memory(self, file: Optional[Database], kind: Type[T], key: Key) -> T:
        if key not in self._known and file is not None:
            text = file.peek(*key)  # a wait that is on a full disk must hold
            self._unreadable = text is None
            self._known[key] = text or b""
        return self._read(self._known.get(key, b""), kind)

    def _read(self, text: bytes, kind: Type[T]) -> T:
        if not text:
            return kind()
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.warn("an entry of the state was damaged: a wait after a refusal may be lost; check the key")
            return kind()

    def _say(self, trouble: UnusableError) -> None:
        if not isinstance(trouble, MissingError):
            self.warn(trouble.line(FORGOTTEN))
