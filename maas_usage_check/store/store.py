"""What must outlive a run: waiting times and requests sent per key, project ids, the last success.

The state is one small JSON object without a secret: keys appear only as a digest under a random salt.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Callable, Dict, Iterator, Mapping, Optional, Protocol

import msgspec
from msgspec import Struct, field

from ..surfaces.atomic_file import hold, replace

VERSION = 1
FILE_NAME = "state.json"
Warn = Callable[[str], None]


class KeyEntry(Struct):
    """Hold what is remembered of one key; times are seconds since 1970.

    `cause` is the Result of the last refusal and `why` its text; `sent` counts requests by whole second; `left_out`
    holds when a question found no room; `probe` names who has a lone request under way, and until when at most.
    """

    refusals: int = 0
    not_before: float = 0.0
    cause: int = 0
    why: str = ""
    throttled_until: float = 0.0
    sent: Dict[int, int] = field(default_factory=dict)
    left_out: Dict[str, float] = field(default_factory=dict)
    probe: str = ""
    probe_until: float = 0.0
    projects: Dict[str, str] = field(default_factory=dict)
    seen: float = 0.0


class Document(Struct):
    """Hold the whole state: entries by digest of the key, last successes by digest of the instance."""

    version: int = VERSION
    salt: str = field(default_factory=lambda: os.urandom(16).hex())
    keys: Dict[str, KeyEntry] = field(default_factory=dict)
    successes: Dict[str, float] = field(default_factory=dict)


Change = Callable[[Document], None]


class State(Protocol):
    """Keep a document over runs."""

    def update(self, change: Change, durable: bool = True) -> Document:
        """Apply a change to the newest document, keep it, and return it.

        Args:
            change: works on the document in place; what it raises leaves the document as it was.
            durable: whether it must survive even a power failure.
        """


def read(text: bytes, warn: Warn, where: str) -> Document:
    """Read a document, or start afresh with a warning where it is not one of ours."""
    if not text:
        return Document()
    try:
        document = msgspec.json.decode(text, type=Document)
        if document.version == VERSION:
            return document
        what = "is from another version of this plugin"
    except (msgspec.MsgspecError, ValueError, RecursionError):
        what = "was damaged"
    warn(f"{where} {what} and is written anew: a wait after a refusal may be lost; check that the key is right")
    return Document()


class MemoryState:
    """Keep the document as long as the process lives."""

    def __init__(self, document: Optional[Document] = None) -> None:
        self._document = document or Document()
        self._lock = threading.Lock()

    def update(self, change: Change, durable: bool = True) -> Document:
        """Apply a change; see State."""
        with self._lock:
            change(self._document)
            return self._document


class FileState:
    """Keep the document in a file: locked while it changes, replaced in one step, so that a kill cannot halve it.

    A folder that cannot be written is a warning, not a failure: the document then lives as long as the process.
    """

    def __init__(self, folder: str, warn: Warn) -> None:
        self._folder = folder
        self._path = os.path.join(folder, FILE_NAME)
        self._warn = warn
        self._lock = threading.Lock()
        self._fallback: Optional[MemoryState] = None

    def update(self, change: Change, durable: bool = True) -> Document:
        """Apply a change; see State."""
        with self._lock:
            if self._fallback is None:
                try:
                    return self._update_file(change, durable)
                except OSError as error:
                    self._warn(
                        f"state folder {self._folder} cannot be written ({error.strerror}): waits after a refusal are "
                        "forgotten at exit; set state_dir to a folder of this user"
                    )
                    self._fallback = MemoryState(self._last_known())
        return self._fallback.update(change)

    def _update_file(self, change: Change, durable: bool) -> Document:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        with open(os.path.join(self._folder, "lock"), "w") as lock:
            hold(lock)
            self._sweep()
            old = self._content()
            document = read(old, self._warn, self._path)
            change(document)
            new = msgspec.json.encode(document)
            if new != old:
                replace(self._path, new, mode=0o600, durable=durable)
            return document

    def _sweep(self) -> None:
        """Remove what a run that was killed while it wrote has left behind. Only the lock's holder writes here."""
        for name in os.listdir(self._folder):
            if name.startswith(FILE_NAME) and name.endswith(".tmp"):
                os.unlink(os.path.join(self._folder, name))

    def _last_known(self) -> Document:
        """Read what can still be read: a full disk must not lose a wait that is on it."""
        try:
            return read(self._content(), self._warn, self._path)
        except OSError:
            return Document()

    def _content(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""


def open_state(configured: Optional[str], warn: Warn, environ: Mapping[str, str] = os.environ) -> State:
    """Open the state in the configured folder, systemd's, the user's, or a private temporary one; else in memory."""
    if configured:
        return FileState(configured, warn)
    for folder in _candidates(environ):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and _is_private(folder):
            return FileState(folder, warn)
    warn("no folder for the state can be written: waits after a refusal are forgotten at exit; set state_dir")
    return MemoryState()


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    # systemd's own word, and with DynamicUser a link.
    yield from [os.path.realpath(folder) for folder in environ.get("STATE_DIRECTORY", "").split(":") if folder][:1]
    base = environ.get("XDG_STATE_HOME") or environ.get("LOCALAPPDATA") or os.path.expanduser("~/.local/state")
    if os.path.isabs(base):
        yield os.path.join(base, "maas-usage-check")
    import tempfile

    yield os.path.join(tempfile.gettempdir(), f"maas-usage-check-{getattr(os, 'getuid', lambda: 'user')()}")


def _is_private(folder: str) -> bool:
    """Tell whether a folder is this user's own: in a shared /tmp anyone may have made one of that name first."""
    if os.name != "posix":
        return True
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
