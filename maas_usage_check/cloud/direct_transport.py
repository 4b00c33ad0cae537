"""The transport of the command line, on the standard library: `requests` alone would take as long as a `collect`."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections import defaultdict, deque
from typing import DefaultDict, Deque, Dict, Hashable, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

from ..config import Instance
from ..errors import ConfigError
from ..watchdog import start_thread
from .connection import Connection, host_and_port, load_authorities, open_connection
from .proxy import check_proxies, find_proxy
from .transport import ERRORS, Guard, Request, Response, read_response, remaining, transport_error, unguarded

Trust = Tuple[Optional[str], bool]
"""The options `tls_ca_cert` and `tls_verify`."""


class Pool:
    """Hold what instances share: idle connections by pool key (host, proxy and TLS options), and authorities.

    Connections need no lock: to append to a deque and to pop from it are one step each.

    Attributes:
        guard: what tunnels through proxies pass before they are opened.
        opening: an entry for each connection that is being opened ahead of its request.
    """

    def __init__(self) -> None:
        self.guard: Guard = unguarded
        self.opening: DefaultDict[Hashable, Deque[None]] = defaultdict(deque)
        self._idle: DefaultDict[Hashable, Deque[Connection]] = defaultdict(deque)
        self._is_closed = False
        self._contexts: Dict[Trust, ssl.SSLContext] = {}
        self._loading = threading.Lock()

    def get(self, pool_key: Hashable) -> Optional[Connection]:
        """Return the most recently used connection that the server has not closed; None if a new one must be opened."""
        with contextlib.suppress(IndexError):  # the last one was taken
            while True:
                connection = self._idle[pool_key].pop()
                if _is_open(connection):
                    return connection
                connection.close()
        return None

    def put(self, pool_key: Hashable, connection: Connection, maxsize: int) -> None:
        """Keep a connection for the next request; close the longest idle ones beyond `maxsize`."""
        self._idle[pool_key].append(connection)
        self.shrink(pool_key, 0 if self._is_closed else maxsize)

    def shrink(self, pool_key: Hashable, maxsize: int) -> None:
        """Close the longest idle connections beyond `maxsize`."""
        with contextlib.suppress(IndexError):
            while len(self._idle[pool_key]) > maxsize:
                self._idle[pool_key].popleft().close()

    def close(self) -> None:
        """Close the idle connections, and from now on those that are put back."""
        self._is_closed = True
        for pool_key in list(self._idle):
            self.shrink(pool_key, 0)

    def load_context(self, trust: Trust, failed: Optional[ssl.SSLContext] = None) -> ssl.SSLContext:
        """Return the TLS context of these options, read only once.

        If it `failed` to verify a certificate, read it anew: it may lack the system's bundle, or a replaced file.
        """
        with self._loading:
            context = self._contexts.get(trust)
            if context is None or context is failed:
                context = self._contexts[trust] = load_authorities(*trust, with_bundle=failed is not None)
            return context


def _is_open(connection: Connection) -> bool:
    """Return whether an idle connection has nothing to read: neither its end nor unrequested data."""
    connection.sock.settimeout(0)
    try:
        connection.sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):  # TLS may have sent a record of its own, such as a session ticket
        return True
    except OSError:
        pass
    return False


class DirectTransport:
    """Send requests over pooled connections, with the TLS and proxy options of the instance or the environment.

    Raises ConfigError if the environment names an invalid proxy. Instances may share a pool: who creates the pool
    closes it; without `pool` the transport creates one of its own.
    """

    def __init__(self, instance: Instance, pool: Optional[Pool] = None) -> None:
        self._instance = instance
        self._pool = pool or Pool()
        self._trust = (instance.tls_ca_cert, instance.tls_verify)
        check_proxies(instance)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; see Transport.

        If a pooled connection breaks, because the server has just closed it, the request is sent again at once over a
        new connection; both count as one request.
        """
        url, deadline = urlsplit(request.url), time.monotonic() + timeout
        pool_key = self._pool_key(url)
        try:
            connection = self._pool.get(pool_key)
            if connection is not None:
                try:
                    return self._exchange(connection, url, request, deadline)
                except OSError:
                    self._pool.shrink(pool_key, 0)  # the others are as old
            return self._exchange(self._connect(url, deadline), url, request, deadline)
        except (*ERRORS, ConfigError) as error:
            raise transport_error(error, url.netloc) from None

    def preconnect(self, url: str, timeout: float, count: int) -> None:
        """Begin to open connections until so many are idle. A failure is left to the request.

        None is opened through a proxy, which may refuse the password.
        """
        parts, maxsize = urlsplit(url), self._instance.max_concurrency
        if find_proxy(parts, self._instance) is not None:
            return
        pool_key = self._pool_key(parts)
        opening = self._pool.opening[pool_key]

        def connect() -> None:
            with contextlib.suppress(BaseException):
                self._pool.put(pool_key, self._connect(parts, time.monotonic() + timeout), maxsize)
            opening.pop()

        for connection in [self._pool.get(pool_key) for _ in range(count - len(opening))]:
            if connection is not None:
                self._pool.put(pool_key, connection, maxsize)
                continue
            opening.append(None)
            if not start_thread(connect):
                opening.pop()

    def address(self, url: str) -> Tuple[str, int]:
        """Return the host and port that requests to a URL connect to: the proxy's, if there is one."""
        parts = urlsplit(url)
        return host_and_port(find_proxy(parts, self._instance) or parts)

    def check_connection(self, url: str, timeout: float) -> str:
        """Connect without a request; return the protocol, such as `TLSv1.3`. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            with contextlib.closing(self._connect(parts, time.monotonic() + timeout)) as connection:
                return str(getattr(connection.sock, "version", lambda: "plain TCP")())
        except (*ERRORS, ConfigError) as error:
            raise transport_error(error, parts.netloc) from None

    def close(self) -> None:
        """Close the pooled connections; later requests each open and close their own."""
        self._pool.close()

    def _pool_key(self, url: SplitResult) -> Hashable:
        return url.scheme, url.netloc, self._trust, self._instance.proxy, self._instance.skip_proxy

    def _connect(self, url: SplitResult, deadline: float) -> Connection:
        """Connect; if the certificate is not trusted, once more with authorities that were read anew."""
        proxy = find_proxy(url, self._instance)

        def connect(context: Optional[ssl.SSLContext]) -> Connection:
            if proxy is None:
                return open_connection(url, None, context, deadline)
            tunnel: Connection = self._pool.guard(proxy, lambda: open_connection(url, proxy, context, deadline))
            return tunnel

        if url.scheme == "http":
            return connect(None)
        context = self._pool.load_context(self._trust)
        try:
            return connect(context)
        except ssl.SSLCertVerificationError:
            return connect(self._pool.load_context(self._trust, failed=context))

    def _exchange(self, connection: Connection, url: SplitResult, request: Request, deadline: float) -> Response:
        """Send a request and read its response; keep the connection in the pool if it can be reused."""
        sock, is_reusable = connection.sock, False
        target = f"{url.path}?{url.query}" if url.query else url.path
        try:
            sock.settimeout(remaining(deadline))
            connection.request(request.method, target, request.body or None, request.headers)
            with connection.getresponse() as raw:

                def read(size: int) -> bytes:
                    if not raw.isclosed():  # Python 3.13 closes it at its end, and perhaps the socket with it
                        sock.settimeout(remaining(deadline))
                    return raw.read1(size)

                response = read_response(raw.status, raw.headers, read, deadline, request.max_bytes)
                # Older versions leave it open if it had a Content-Length. After a 101 another protocol follows.
                is_read = raw.isclosed() or raw.length == 0
                is_reusable = is_read and not raw.will_close and raw.status >= 200
            return response
        finally:
            if is_reusable:
                self._pool.put(self._pool_key(url), connection, self._instance.max_concurrency)
            else:
                connection.close()
