"""A pool of connections that are reused from request to request, and from cycle to cycle."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter, defaultdict
from typing import DefaultDict, Hashable, List, Optional

Connection = http.client.HTTPConnection


class Pool:
    """Hold idle connections by pool key: the host, and the proxy and TLS options. Thread-safe.

    Each `acquire` or successful `reserve` is followed by one `release`, with the connection if it can be reused. A
    thread that hangs blocks no other: its connection is not in the pool.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: DefaultDict[Hashable, List[Connection]] = defaultdict(list)
        self._busy: Counter[Hashable] = Counter()
        self._closed = False

    def acquire(self, pool_key: Hashable) -> Optional[Connection]:
        """Return the most recently used connection that the server has not closed; None if a new one must be opened."""
        with self._lock:
            self._busy[pool_key] += 1
            while self._idle[pool_key]:
                connection = self._idle[pool_key].pop()
                if is_open(connection):
                    return connection
                connection.close()
            return None

    def reserve(self, pool_key: Hashable, maxsize: int) -> bool:
        """Reserve room for a connection that is opened ahead of its request; return whether there was room."""
        with self._lock:
            idle = self._idle[pool_key]
            while idle and not is_open(idle[0]):  # servers close the longest idle one first: stop at the first open one
                idle.pop(0).close()
            has_room = self._busy[pool_key] + len(idle) < maxsize
            self._busy[pool_key] += has_room
            return has_room

    def release(self, pool_key: Hashable, connection: Optional[Connection], maxsize: int) -> None:
        """Return a connection to the pool, or give up a reservation; close it beyond `maxsize` idle ones."""
        with self._lock:
            self._busy[pool_key] -= 1
            if connection is not None and not self._closed and len(self._idle[pool_key]) < maxsize:
                self._idle[pool_key].append(connection)
                return
        if connection is not None:
            connection.close()

    def discard(self, pool_key: Hashable) -> None:
        """Close the idle connections of a pool key: one of them broke or hung, and the others are as old."""
        with self._lock:
            discarded = self._idle.pop(pool_key, [])
        for connection in discarded:
            connection.close()

    def close(self) -> None:
        """Close the idle connections, and from now on those that are released."""
        self._closed = True
        for pool_key in list(self._idle):
            self.discard(pool_key)


def is_open(connection: Connection) -> bool:
    """Return whether an idle connection has nothing to read: neither its end nor unrequested data."""
    connection.sock.settimeout(0)
    try:
        connection.sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):  # TLS may have sent a record of its own, such as a session ticket
        return True
    except OSError:
        pass
    return False
