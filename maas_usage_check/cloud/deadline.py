"""Answers that are read until a time and no longer, however slowly their bytes come."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, Optional


class Deadline:
    """Hold until when an answer is awaited, in monotonic seconds, and whether any of it came."""

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.has_received = False

    def remaining(self) -> float:
        """Count the seconds that are remaining; raise TimeoutError when the time is up."""
        remaining = self.expires_at - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


class _DeadlineStream(io.RawIOBase):
    """Read from a socket until the time is up: its own timeout starts anew with every byte."""

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        self._stream = stream
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        """See RawIOBase; raise TimeoutError when the time is up."""
        self._connection.settimeout(self._deadline.remaining())
        count = self._stream.readinto(buffer)
        self._deadline.has_received = self._deadline.has_received or bool(count)
        return count

    def close(self) -> None:
        """See RawIOBase."""
        self._stream.close()
        super().close()


class DeadlineResponse(http.client.HTTPResponse):
    """Hold status line, headers and body together to one time."""

    def __init__(self, deadline: Deadline, connection: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(connection, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_DeadlineStream(self.fp.detach(), connection, deadline))

    def is_complete(self) -> bool:
        """Tell whether it was read to its end, and another may follow it."""
        is_last = self.status >= 200  # what follows an interim one is the answer to the same request
        # Since Python 3.11 it is closed then; before, only where its length was not told.
        return is_last and not self.will_close and (self.isclosed() or self.length == 0)
