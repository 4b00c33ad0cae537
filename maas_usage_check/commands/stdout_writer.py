"""Write batches to a stream that may block: a reader that stopped reading must not keep the program alive."""

from __future__ import annotations

import math
import os
import queue
import select
from typing import Callable, List, Optional

from ..errors import MaasError
from ..queue_get import next_of
from ..scheduling import run_apart

SIGTERM_TIMEOUT = 0.5
"""Seconds for a batch after SIGTERM."""
EOF_TIMEOUT = 3.0
"""Seconds for the last batch after end of file."""
STOP: List[BaseException] = []


class StdoutWriter:
    """Write whole batches, without a time limit until `stop` is called.

    Args:
        write: writes all of a batch; its exceptions are raised by `write`.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._timeout = math.inf
        self._events: queue.SimpleQueue[List[BaseException]] = queue.SimpleQueue()

    def stop(self, timeout: float = SIGTERM_TIMEOUT) -> None:
        """Limit the current batch, and later ones, to so many seconds each; the shortest limit holds.

        Safe in signal handlers.
        """
        self._timeout = min(self._timeout, timeout)
        self._events.put(STOP)

    def write(self, batch: bytes) -> None:
        """Write a batch; raise MaasError if the reader blocks it until the timeout."""

        def write() -> None:
            errors: List[BaseException] = []
            try:
                self._write(batch)
            except BaseException as error:  # raised again in the caller's thread
                errors.append(error)
            self._events.put(errors)

        if not run_apart(write):
            write()  # without a timeout
        event: Optional[List[BaseException]] = STOP
        while event is STOP:
            event = next_of(self._events, self._timeout)
        if event is None:
            raise MaasError("standard output is not being read: the collected points could not be written")
        for error in event:
            raise error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data, also to a stream that the other side made non-blocking."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def read_some(descriptor: int) -> bytes:
    """Read available bytes, also from a stream that the other side made non-blocking; empty at end of file."""
    while True:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            select.select([descriptor], [], [])
        except OSError:
            return b""
