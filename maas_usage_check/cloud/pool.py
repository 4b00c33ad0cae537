"""Connections that are kept from request to request, and from cycle to cycle."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter, defaultdict
from typing import DefaultDict, Hashable, List, Optional

Connection = http.client.HTTPConnection


class Pool:
    """Keep connections, each for one place: a host, and how it is reached. Used by many threads.

    Who takes a place gives it back, with the connection if the last answer was read to its end. A thread that hangs
    holds up nobody: its connection is not here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: DefaultDict[Hashable, List[Connection]] = defaultdict(list)
        self._busy: Counter[Hashable] = Counter()
        self._closed = False

    def take(self, place: Hashable) -> Optional[Connection]:
        """Take the connection that was used last, if one is still open at its other end; else one may be opened."""
        with self._lock:
            self._busy[place] += 1
            while self._idle[place]:
                connection = self._idle[place].pop()
                if is_open(connection):
                    return connection
                connection.close()
            return None

    def take_spare(self, place: Hashable, most: int) -> bool:
        """Tell whether one more may be opened before it is needed; if so it must be given back."""
        with self._lock:
            idle = self._idle[place]
            while idle and not is_open(idle[0]):  # the one that idles longest is closed first: the others need no look
                idle.pop(0).close()
            spare = self._busy[place] + len(idle) < most
            self._busy[place] += spare
            return spare

    def give(self, place: Hashable, connection: Optional[Connection], most: int) -> None:
        """Give a place back; no more than `most` connections are kept for it."""
        with self._lock:
            self._busy[place] -= 1
            if connection is not None and not self._closed and len(self._idle[place]) < most:
                self._idle[place].append(connection)
                return
        if connection is not None:
            connection.close()

    def drop(self, place: Hashable) -> None:
        """Close what is kept for a place: one of them broke or hung, and the others are as old."""
        with self._lock:
            dropped = self._idle.pop(place, [])
        for connection in dropped:
            connection.close()

    def close(self) -> None:
        """Close what is kept, and what is given back from now on."""
        self._closed = True
        for place in list(self._idle):
            self.drop(place)


def is_open(connection: Connection) -> bool:
    """Tell whether nothing came over an idle connection, neither its end nor what nobody asked for."""
    connection.sock.settimeout(0)
    try:
        connection.sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):  # TLS may have sent what is its own affair
        return True
    except OSError:
        pass
    return False
