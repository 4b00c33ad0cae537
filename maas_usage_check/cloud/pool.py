"""Connections that are kept from request to request, and from cycle to cycle."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter, defaultdict
from typing import DefaultDict, Hashable, List, Optional

Connection = http.client.HTTPConnection


class Pool:
    """Keep connections, each for one pool_key: a host, and how it is reached. Used by many threads.

    Who takes a place gives it back, with the connection if the last answer was read to its end. A thread that hangs
    holds up nobody: its connection is not here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: DefaultDict[Hashable, List[Connection]] = defaultdict(list)
        self._busy: Counter[Hashable] = Counter()
        self._closed = False

    def acquire(self, pool_key: Hashable) -> Optional[Connection]:
        """Take the connection that was used last, if one is still open at its other end; else one may be opened."""
        with self._lock:
            self._busy[pool_key] += 1
            while self._idle[pool_key]:
                connection = self._idle[pool_key].pop()
                if is_open(connection):
                    return connection
                connection.close()
            return None

    def reserve(self, pool_key: Hashable, maxsize: int) -> bool:
        """Tell whether one more may be opened before it is needed; if so it must be given back."""
        with self._lock:
            idle = self._idle[pool_key]
            while idle and not is_open(idle[0]):  # the one that idles longest is closed first: the others need no look
                idle.pop(0).close()
            spare = self._busy[pool_key] + len(idle) < maxsize
            self._busy[pool_key] += spare
            return spare

    def release(self, pool_key: Hashable, connection: Optional[Connection], maxsize: int) -> None:
        """Give a place back; no more than `maxsize` connections are kept for it."""
        with self._lock:
            self._busy[pool_key] -= 1
            if connection is not None and not self._closed and len(self._idle[pool_key]) < maxsize:
                self._idle[pool_key].append(connection)
                return
        if connection is not None:
            connection.close()

    def discard(self, pool_key: Hashable) -> None:
        """Close what is kept for a pool_key: one of them broke or hung, and the others are as old."""
        with self._lock:
            dropped = self._idle.pop(pool_key, [])
        for connection in dropped:
            connection.close()

    def close(self) -> None:
        """Close what is kept, and what is given back from now on."""
        self._closed = True
        for pool_key in list(self._idle):
            self.discard(pool_key)


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
