"""What is kept over runs: small entries by kind and name, each changed in one transaction.

Where the file cannot be used the entries live in memory, and go into the file as soon as it can be written again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Iterator, Optional, Protocol, Set, Tuple, Type, TypeVar

import msgspec

from .database import FORGOTTEN, LOCAL, PATIENCE, Database, UnusableError
from .kernel_lock import KernelLock

if TYPE_CHECKING:
    import sqlite3

Warn = Callable[[str], None]
Key = Tuple[str, str]


class Kept(Protocol):
    """What a kind of entry is: a msgspec Struct, all of whose fields have defaults."""

    kept_for: ClassVar[float]
    """Seconds after its last change until an entry is forgotten."""

    def joined(self, kept: Any) -> Any:
        """Join what the file says with what was kept in memory while it could not be written."""


T = TypeVar("T", bound=Kept)


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
        self._known: Dict[Key, str] = {}
        self._unwritten: Set[Key] = set()
        self._trouble = ""
        self._blind = False
        self._patience = PATIENCE

    @contextlib.contextmanager
    def entry(self, kind: Type[T], name: str, durable: bool = False) -> Iterator[T]:
        """Change one entry in one transaction; what the block raises leaves it as it was.

        Args:
            kind: the entry's type; a new one has its defaults.
            name: whose entry it is.
            durable: the change must survive a power failure, not a kill alone.
        """
        key = (kind.__name__, name)
        with self._file() as file:
            old = self._begin(file, key, durable)
            in_memory = file is None or old is None
            with self._memory_lock if in_memory else contextlib.nullcontext():
                entry = self._from_memory(file, kind, key) if old is None else self._from_file(old, kind, key)
                try:
                    yield entry
                except BaseException:
                    if file is not None and old is not None:
                        file.rollback()
                    raise
                text = msgspec.json.encode(entry).decode()
                written = file is not None and old is not None and self._write(file, key, old, text, kind.kept_for)
                self._known[key] = text
                (self._unwritten.discard if written else self._unwritten.add)(key)

    @contextlib.contextmanager
    def tables(self) -> Iterator[sqlite3.Connection]:
        """Change tables that are another room's, in one transaction; what the block raises undoes it.

        Raise UnusableError, here or at the block's end, where the file cannot be written: then nothing was changed.
        """
        with self._file() as file:
            if file is None:
                raise UnusableError("there is no state file")
            try:
                with file.tables() as connection:
                    yield connection
            except UnusableError as trouble:
                self._say(str(trouble))
                raise

    @contextlib.contextmanager
    def look(self) -> Iterator[sqlite3.Connection]:
        """Read tables that are another room's, as they are at one moment; raise UnusableError where that cannot be."""
        with self._file() as file:
            if file is None:
                raise UnusableError("there is no state file")
            with file.look() as connection:
                yield connection

    @property
    def blind(self) -> bool:
        """Tell whether there is a file that cannot even be read: nobody knows then what other runs have met."""
        return self._blind

    def take(self, name: str) -> Optional[bool]:
        """Tell whether this process holds a lock now; None where that cannot be known. The kernel frees it at death."""
        if self._find is None:  # what no file holds no other process sees
            return True
        return None if self._lock is None else self._lock.take(name)

    def release(self, name: str) -> None:
        """Free a lock."""
        if self._lock is not None:
            self._lock.release(name)

    def close(self) -> None:
        """Let go of the file, so that the next run need not read its log; not where a thread is still in it."""
        if self._file_lock.acquire(blocking=False):
            try:
                if self._database is not None:
                    self._database.close()
            finally:
                self._file_lock.release()

    @contextlib.contextmanager
    def _file(self) -> Iterator[Optional[Database]]:
        """Wait for the file's turn; None where there is no file, or where a thread hangs in it."""
        if self._find is None:
            yield None
        elif self._file_lock.acquire(timeout=self._patience):
            self._patience = PATIENCE
            try:
                yield self._named(self._find)
            finally:
                self._file_lock.release()
        else:
            self._patience, self._blind = 0.0, True
            self._say(f"the state folder does not answer: {FORGOTTEN}; {LOCAL}")
            yield None

    def _named(self, find: Callable[[], str]) -> Optional[Database]:
        if self._database is None:
            try:
                self._database = Database(find())
                self._lock = KernelLock(f"{self._database.path}-lock")
            except UnusableError as trouble:
                self._say(str(trouble))
        return self._database

    def _begin(self, file: Optional[Database], key: Key, durable: bool) -> Optional[str]:
        """Begin a change of the file; return the entry's text, or None where memory must serve."""
        if file is None:
            return None
        try:
            file.begin(durable)
            return file.get(*key)
        except UnusableError as trouble:
            self._say(str(trouble))
            return None

    def _write(self, file: Database, key: Key, old: str, text: str, kept_for: float) -> bool:
        if text == old:
            file.rollback()
            return True
        try:
            file.put(*key, text, self._now())
            if not old:
                file.forget(key[0], self._now() - kept_for)
            file.commit()
        except UnusableError as trouble:
            self._say(str(trouble))
            return False
        self._trouble, self._blind = "", False
        return True

    def _from_file(self, text: str, kind: Type[T], key: Key) -> T:
        entry = self._read(text, kind)
        return entry.joined(self._read(self._known[key], kind)) if key in self._unwritten else entry

    def _from_memory(self, file: Optional[Database], kind: Type[T], key: Key) -> T:
        if key not in self._known and file is not None:
            text = file.peek(*key)  # a wait that is on a full disk must hold
            self._blind = text is None
            self._known[key] = text or ""
        return self._read(self._known.get(key, ""), kind)

    def _read(self, text: str, kind: Type[T]) -> T:
        if not text:
            return kind()
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._say("an entry of the state was damaged: a wait after a refusal may be lost; check the key")
            return kind()

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._warn(trouble)
