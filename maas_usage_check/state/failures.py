"""Why the state cannot be used, named with its remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3

import msgspec

from ..errors import one_line
from .permissions import make_file

OWN = "give it and its folder to the user that runs this, or set state_dir"
NOT_OURS = "move it away, or set state_dir"
LOCAL = "set state_dir to a folder on a local disk"
FULL = ("disk full", "free some space")
NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
CAUSES = (
    ("lock", ("another process keeps it locked, or its file system has no locks", f"end that process, or {LOCAL}")),
    ("full", FULL),
    ("readonly", ("read-only", OWN)),
    ("unable to open", ("no access", OWN)),
    ("disk I/O error", ("disk I/O error", LOCAL)),
)
"""What SQLite says, in part, of a file that is not damaged; how that is named, and what to do."""
DAMAGE = (ValueError, ArithmeticError, MemoryError, RecursionError, msgspec.MsgspecError)
"""What a damaged file raises besides: sqlite3 decodes texts and converts numbers, and rows are computed with."""
TROUBLES = (sqlite3.Error, OSError, *DAMAGE)
BLOCK = 65_536


class UnusableError(Exception):
    """The state cannot be used now.

    Args:
        what: which file, and why.
        remedy: what to do.
    """

    def __init__(self, what: str, remedy: str = LOCAL) -> None:
        self._what, self._remedy = one_line(what), remedy
        super().__init__(f"{self._what}; {remedy}")

    def line(self, lost: str) -> str:
        """Write one line: the file and the cause, the loss, and the remedy."""
        return f"{self._what}. {lost}; {self._remedy}"


class MissingError(UnusableError):
    """There is no state yet, which is no trouble."""


def named(error: BaseException, path: str, act: str) -> UnusableError:
    """Name what went wrong with a file, and the remedy. What SQLite does not say of a sound file is damage.

    Args:
        error: one of TROUBLES.
        path: the file's.
        act: "read" or "write".
    """
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError):
        cause = FULL if error.errno in NO_ROOM else (why, OWN)
    else:
        is_known = isinstance(error, sqlite3.OperationalError)
        damaged = (f"damaged ({why.partition(' with text ')[0]})", NOT_OURS)  # sqlite3 quotes the undecodable text
        cause = next((cause for words, cause in CAUSES if is_known and words in why), damaged)
        if cause == damaged:
            act = "read"
        elif "disk I/O" in why and not has_room(path):
            cause = FULL
    return UnusableError(f"{path}: cannot {act} the state: {cause[0]}", cause[1])


def has_room(path: str) -> bool:
    """Try to write into a file beside another, as far in: SQLite calls a full disk an I/O error in most places."""
    size, probe, written = 0, f"{path}-room", 0
    for each in (path, f"{path}-wal"):
        with contextlib.suppress(OSError):
            size = max(size, os.path.getsize(each))
    try:
        descriptor = make_file(probe)
        try:
            os.lseek(descriptor, size, os.SEEK_SET)
            written = os.write(descriptor, bytes(BLOCK))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            os.unlink(probe)
    except OSError as error:
        return error.errno not in NO_ROOM
    return written == BLOCK
