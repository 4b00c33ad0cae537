"""Files that others read and write at the same time: replaced in one step, and locked while they change."""

from __future__ import annotations

import errno
import os
import time
from typing import IO

PATIENCE = 2.0
"""Seconds to wait for another process that writes the state: it takes milliseconds, unless it was stopped."""


def replace(path: str, content: bytes, mode: int, durable: bool = True) -> None:
    """Write a file in one step: whoever reads it finds the old content or the new, whole."""
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        # Exclusive, so that nobody's link is followed; closed to others until it has its mode.
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def hold(file: IO[str]) -> None:
    """Lock the file until it is closed; raise OSError where another process does not let go of it.

    Where the system or the file system has no such lock, the last writer wins.
    """
    try:
        import fcntl
    except ImportError:
        return
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps it locked") from None
            time.sleep(0.005)
        except OSError:
            return
