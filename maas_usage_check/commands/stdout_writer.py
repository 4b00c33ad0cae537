"""Standard output that may block or lack characters: a reader that stopped must not keep the program alive."""

from __future__ import annotations

import io
import math
import os
import select
import time
from functools import partial
from typing import Any, Callable, TextIO

from ..clock import Clock
from ..errors import MaasError
from ..watchdog import OUTPUT_STOP_S, Watched

SIGTERM_TIMEOUT = OUTPUT_STOP_S
"""Seconds for a batch after SIGTERM."""
EOF_TIMEOUT = 3.0
"""Seconds for the last batch after end of file."""


class StdoutWriter:
    """Write whole batches, without a time limit until `stop` is called.

    Args:
        write: writes all of a batch; its exceptions are raised by `write`.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._timeout = math.inf
        self._stopped_at = 0.0

    def stop(self, timeout: float = SIGTERM_TIMEOUT) -> None:
        """Limit the current batch, and later ones, to so many seconds each; the shortest limit holds.

        Safe in signal handlers.
        """
        self._stopped_at = time.monotonic()
        self._timeout = min(self._timeout, timeout)

    def write(self, batch: bytes) -> None:
        """Write a batch; raise MaasError if the reader blocks it until the timeout."""
        began = time.monotonic()
        watched = Watched(partial(self._write, batch))
        if not watched.wait(Clock(), lambda: max(began, self._stopped_at) + self._timeout):
            raise MaasError("standard output is not being read: the collected points could not be written")
        if watched.outcome is not None:
            raise watched.outcome


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data, also to a stream that the other side made non-blocking.

    Raises:
        BrokenPipeError: the reader closed the pipe.
        MaasError: any other failure.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MaasError(f"standard output cannot be written ({error.strerror}); check where it goes") from None


def read_some(descriptor: int) -> bytes:
    """Read available bytes, also from a stream that the other side made non-blocking; empty at end of file."""
    while True:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            select.select([descriptor], [], [])
        except OSError:
            return b""


class _Stdout(io.FileIO):
    def write(self, data: Any) -> int:
        write_all(self.fileno(), data)
        return len(data)


def wrap_stdout(stream: TextIO) -> TextIO:
    """Replace characters that the stream cannot encode by `?`, and raise MaasError on write errors."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = io.BufferedWriter(_Stdout(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=stream.line_buffering)
