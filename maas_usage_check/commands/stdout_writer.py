"""Batches written to a stream that may be blocked: a reader that reads no more must not keep the program."""

from __future__ import annotations

import math
import os
import queue
import select
from typing import Callable, List, Optional

from ..errors import MaasError
from ..queue_get import next_of
from ..scheduling import run_apart

AT_ONCE = 0.5
"""Seconds that a batch may take once the program is to end at once."""
IN_PEACE = 3.0
"""Seconds that it may take once no other will be asked for."""
END: List[BaseException] = []


class Output:
    """Write batches, each to its end, until told to end.

    Args:
        write: writes all of a batch; what it raises is raised by `put`.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._grace = math.inf
        self._told: queue.SimpleQueue[List[BaseException]] = queue.SimpleQueue()

    def end(self, grace: float = AT_ONCE) -> None:
        """Give the batch under way, or the last to come, so many seconds and no more. Made for signal handlers."""
        self._grace = min(self._grace, grace)
        self._told.put(END)

    def put(self, batch: bytes) -> None:
        """Write a batch; raise MaasError where the end comes while nobody reads it."""

        def write() -> None:
            errors: List[BaseException] = []
            try:
                self._write(batch)
            except BaseException as error:  # raised again where it can be told
                errors.append(error)
            self._told.put(errors)

        if not run_apart(write):
            write()  # nobody watches over this one
        told: Optional[List[BaseException]] = END
        while told is END:
            told = next_of(self._told, self._grace)
        if told is None:
            raise MaasError("nobody reads standard output: what was collected could not be written")
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
