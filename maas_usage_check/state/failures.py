"""Failures of the state file, each with its cause and remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3

import msgspec

from ..errors import one_line
from .permissions import make_file

WRONG_OWNER = "chown it and its folder to the user that runs this, or set state_dir"
MOVE_AWAY = "move it away, or set state_dir"
LOCAL_DISK = "set state_dir to a folder on a local disk"
DISK_FULL = ("disk full", "free some space")
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
CAUSES = (
    (
        "lock",
        ("another process keeps it locked, or its file system has no locks", f"end that process, or {LOCAL_DISK}"),
    ),
    ("full", DISK_FULL),
    ("readonly", ("read-only", WRONG_OWNER)),
    ("unable to open", ("no access", WRONG_OWNER)),
    ("disk I/O error", ("disk I/O error", LOCAL_DISK)),
)
"""A part of SQLite's message about an undamaged file, and the cause and remedy that we report."""
FAILURES = (sqlite3.Error, OSError, ValueError, ArithmeticError, MemoryError, RecursionError, msgspec.MsgspecError)
"""All but the first two are raised for a damaged file: when a text or a number is decoded, or computed with."""
PROBE_BYTES = 65_536


class UnusableError(Exception):
    """The state cannot be used now.

    Args:
        problem: the file and the cause.
        remedy: what to do.
    """

    def __init__(self, problem: str, remedy: str = LOCAL_DISK) -> None:
        self._problem, self._remedy = one_line(problem), remedy
        super().__init__(f"{self._problem}; {remedy}")

    def line(self, effect: str) -> str:
        """Return one line: the file and the cause, the effect, the remedy."""
        return f"{self._problem}. {effect}; {self._remedy}"


class MissingError(UnusableError):
    """There is no state file yet: no failure."""


def classify(error: BaseException, path: str, action: str) -> UnusableError:
    """Classify a failure by cause and remedy. An unknown message of SQLite means damage.

    Args:
        error: one of FAILURES.
        path: the state file.
        action: "read" or "write".
    """
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError):
        cause = DISK_FULL if error.errno in DISK_FULL_ERRNOS else (reason, WRONG_OWNER)
    else:
        is_known = isinstance(error, sqlite3.OperationalError)
        damaged = (f"damaged ({reason.partition(' with text ')[0]})", MOVE_AWAY)  # sqlite3 quotes the undecodable text
        cause = next((cause for message, cause in CAUSES if is_known and message in reason), damaged)
        if cause == damaged:
            action = "read"
        elif "disk I/O" in reason and not has_room(path):
            cause = DISK_FULL
    return UnusableError(f"{path}: cannot {action} the state: {cause[0]}", cause[1])


def has_room(path: str) -> bool:
    """Return False if a write beside the file fails for lack of space.

    SQLite reports a full disk as an I/O error in most places. The write begins at the size of the state, so that a
    limit on the size of a file is found too.
    """
    size, probe, written = 0, f"{path}-room", 0
    for file in (path, f"{path}-wal"):
        with contextlib.suppress(OSError):
            size = max(size, os.path.getsize(file))
    try:
        descriptor = make_file(probe)
        try:
            os.lseek(descriptor, size, os.SEEK_SET)
            written = os.write(descriptor, bytes(PROBE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            os.unlink(probe)
    except OSError as error:
        return error.errno not in DISK_FULL_ERRNOS
    return written == PROBE_BYTES
