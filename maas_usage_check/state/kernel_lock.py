"""Locks between processes that the kernel frees when their holder dies."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Optional

from .permissions import make_file

BYTES = 2**31 - 1


class KernelLock:
    """Lock a byte of a file for this process; each name has a byte of its own.

    The file stays open and empty: a process that closes it would free all its locks at once.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: Optional[int] = None

    def acquire(self, name: str) -> Optional[bool]:
        """Tell whether this process has the lock now; None where the system or the file system has no locks."""
        try:
            import fcntl
        except ImportError:
            return None
        try:
            if self._descriptor is None:
                self._descriptor = make_file(self._path)
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
        except (BlockingIOError, PermissionError):  # POSIX allows either word for a lock that another holds
            return None if self._descriptor is None else False
        except OSError:
            return None
        return True

    def release(self, name: str) -> None:
        """Free the lock, if it is held."""
        if self._descriptor is not None:
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _byte(name))


def _byte(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % BYTES
