"""Answers that are read until a time and no longer, however slowly their bytes come."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, Optional


class _Timed(io.RawIOBase):
    """Read from a socket until the time is up: its own timeout starts anew with every byte."""

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, give_up: float) -> None:
        self._stream = stream
        self._connection = connection
        self._give_up = give_up

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        """See RawIOBase; raise TimeoutError when the time is up."""
        left = self._give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        """See RawIOBase."""
        self._stream.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """Hold status line, headers and body together to one time."""

    def __init__(self, give_up: float, connection: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(connection, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_Timed(self.fp.detach(), connection, give_up))
