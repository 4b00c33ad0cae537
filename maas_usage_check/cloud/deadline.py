"""HTTP responses with one deadline for all bytes: a socket's own timeout restarts with every byte."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, Optional


class Deadline:
    """Hold when a response must be complete, in monotonic seconds, and whether any byte of it has arrived."""

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.has_received = False

    def remaining(self) -> float:
        """Return the remaining seconds; raise TimeoutError after the deadline."""
        remaining = self.expires_at - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


class _DeadlineStream(io.RawIOBase):
    """Read from a socket until the deadline."""

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        self._stream = stream
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        """See RawIOBase; raise TimeoutError after the deadline."""
        self._connection.settimeout(self._deadline.remaining())
        count = self._stream.readinto(buffer)
        self._deadline.has_received = self._deadline.has_received or bool(count)
        return count

    def close(self) -> None:
        """See RawIOBase."""
        self._stream.close()
        super().close()


class DeadlineResponse(http.client.HTTPResponse):
    """Read status line, headers and body within one deadline."""

    def __init__(self, deadline: Deadline, connection: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(connection, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_DeadlineStream(self.fp.detach(), connection, deadline))

    def is_complete(self) -> bool:
        """Return whether the response was read to its end and the connection can be reused."""
        is_final = self.status >= 200  # a 1xx response precedes the final one of the same request
        # Python 3.11 and later close a response that was read to its end; earlier ones only without a Content-Length.
        return is_final and not self.will_close and (self.isclosed() or self.length == 0)
