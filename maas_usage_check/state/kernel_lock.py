"""Locks between processes; the kernel frees them when the process dies."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Optional

from .permissions import make_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class KernelLock:
    """Lock one byte of a file per name.

    The file stays open and empty: closing it would free all locks of the process at once.

    Attributes:
        path: names the file; empty while that is not known.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._descriptor: Optional[int] = None

    def acquire(self, name: str) -> Optional[bool]:
        """Return whether this process has the lock; None if the system or the file system has no locks."""
        if fcntl is None or not self.path:
            return None
        try:
            if self._descriptor is None:
                self._descriptor = make_file(self.path)
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(name))
        except (BlockingIOError, PermissionError):  # POSIX allows either error for a lock of another process
            return None if self._descriptor is None else False
        except OSError:
            return None
        return True

    def release(self, name: str) -> None:
        """Release the lock, if this process has it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(name))


def _offset(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % (2**31 - 1)
