"""Batches written to a stream that may be blocked: a reader that reads no more must not keep the program."""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import Callable, List, Optional

from ..errors import MaasError

GRACE = 0.5
"""Seconds that a batch may take once the program is to end."""


class Output:
    """Write batches, each whole or not at all, until told to end.

    Args:
        write: writes all of a batch; what it raises is raised by `put`.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._ending = False
        self._told: queue.SimpleQueue[Optional[List[BaseException]]] = queue.SimpleQueue()

    def end(self) -> None:
        """Give the batch under way, or the last to come, a moment and no more. Made for signal handlers."""
        self._ending = True
        self._told.put(None)

    def put(self, batch: bytes) -> None:
        """Write a batch; raise MaasError where the end comes while nobody reads it."""

        def write() -> None:
            errors: List[BaseException] = []
            try:
                self._write(batch)
            except BaseException as error:  # raised again where it can be told
                errors.append(error)
            self._told.put(errors)

        try:
            threading.Thread(target=write, daemon=True, name="maas-usage-check").start()
        except RuntimeError:  # no thread can be started: then nobody watches over this write
            write()
        told = None
        while told is None:
            try:
                told = self._told.get(timeout=GRACE if self._ending else None)
            except queue.Empty:
                raise MaasError("nobody reads standard output: what was collected could not be written") from None
        for error in told:
            raise error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, also where the other side has set the stream not to block."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def read_some(descriptor: int) -> bytes:
    """Read what there is, also where the other side has set the stream not to block; empty at its end."""
    while True:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            select.select([descriptor], [], [])
        except OSError:
            return b""
