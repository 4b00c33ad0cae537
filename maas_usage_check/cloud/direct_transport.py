"""The transport of the command line, on the standard library.

Importing `requests` alone would take as long as a whole `collect`.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import time
from typing import Hashable, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

from ..config import Instance
from ..errors import ConfigError, QueryError, Result
from ..watchdog import start_thread
from .deadline import Deadline, DeadlineResponse
from .pool import Connection, Pool
from .proxies import find_proxy, proxy_headers
from .tls import UNKNOWN_ISSUER, Trust, load_trust
from .transport import Request, Response, read_response, transport_error

ERRORS = (OSError, http.client.HTTPException, ValueError)
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, seconds, and a count, where the system has the option. NAT gateways drop idle connections silently, and each
dropped connection would cost a timeout."""


class DirectTransport:
    """Send requests over pooled connections, with the TLS and proxy options of the instance or the environment.

    Raises ConfigError if the environment names an invalid proxy. Instances may share a pool: who creates the pool
    closes it; without `pool` the transport creates one of its own.
    """

    def __init__(self, instance: Instance, pool: Optional[Pool] = None) -> None:
        self._instance = instance
        self._pool = pool or Pool()
        self._options = (instance.tls_ca_cert, instance.tls_verify, instance.proxy, instance.skip_proxy)
        # Loaded only if needed: reading a bundle of authorities takes a quarter of a collect.
        endpoints = (instance.endpoint, instance.iam_endpoint, instance.cloud_eye_endpoint if instance.models else "")
        https_urls = [url for url in endpoints if url.startswith("https:")]
        needs_trust = https_urls or instance.tls_ca_cert
        self._trust = load_trust(instance.tls_ca_cert, instance.tls_verify) if needs_trust else None
        for url in https_urls:
            find_proxy(urlsplit(url), instance)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; see Transport.

        If a pooled connection breaks before the first byte of the response, because the server has just closed it, the
        request is sent again at once over a new connection; both count as one request.
        """
        deadline = Deadline(time.monotonic() + timeout)
        url = urlsplit(request.url)
        pool_key = self._pool_key(url)
        connection, complete = self._pool.acquire(pool_key), False
        try:
            if connection is not None:
                try:
                    response, complete = _exchange(connection, url, request, deadline)
                    return response
                except (OSError, http.client.HTTPException):
                    self._pool.discard(pool_key)
                    if deadline.has_received:
                        raise
                    connection.close()
            connection = self._connect(url, deadline.remaining())
            response, complete = _exchange(connection, url, request, deadline)
            return response
        except ERRORS as error:
            raise transport_error(error, url.netloc) from None
        finally:
            if connection is not None and not complete:
                connection.close()
            self._pool.release(pool_key, connection if complete else None, self._instance.max_concurrency)

    def preconnect(self, url: str, timeout: float, count: int) -> None:
        """Begin to open so many connections, unless the pool is full. A failure is left to the request."""
        parts = urlsplit(url)
        pool_key, maxsize = self._pool_key(parts), self._instance.max_concurrency

        def connect() -> None:
            connection = None
            with contextlib.suppress(Exception):
                connection = self._connect(parts, timeout)
            self._pool.release(pool_key, connection, maxsize)

        for _ in range(count):
            if self._pool.reserve(pool_key, maxsize) and not start_thread(connect):
                self._pool.release(pool_key, None, maxsize)

    def address(self, url: str) -> Tuple[str, int]:
        """Return the host and port that requests to a URL connect to: the proxy's, if there is one."""
        parts = urlsplit(url)
        peer = find_proxy(parts, self._instance) or parts
        return peer.hostname or "", peer.port or (443 if peer.scheme == "https" else 80)

    def check_connection(self, url: str, timeout: float) -> str:
        """Connect without a request; return the protocol, such as `TLSv1.3`. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            connection = self._connect(parts, timeout)
            version = getattr(connection.sock, "version", lambda: "plain TCP")()
            connection.close()
            return str(version)
        except ERRORS as error:
            raise transport_error(error, parts.netloc) from None

    def close(self) -> None:
        """Close the pooled connections; later requests each open and close their own."""
        self._pool.close()

    def _pool_key(self, url: SplitResult) -> Hashable:
        return url.scheme, url.netloc, self._options

    def _connect(self, url: SplitResult, timeout: float) -> Connection:
        """Connect; if the certificate is not trusted, try again with authorities that were not loaded before."""
        deadline = Deadline(time.monotonic() + timeout)
        while True:
            trust = self._trust
            was_directory_only = trust is not None and trust.is_directory_only
            try:
                return self._try_connect(url, deadline)
            except ssl.SSLCertVerificationError as error:
                if trust is None or not self._reload_authorities(trust, was_directory_only, error):
                    raise

    def _reload_authorities(self, trust: Trust, was_directory_only: bool, error: ssl.SSLCertVerificationError) -> bool:
        """Load the system bundle, or authorities replaced on disk; return whether any are new."""
        if was_directory_only and error.verify_code in UNKNOWN_ISSUER:
            trust.load_system_bundle()
            return True
        if self._trust is trust and trust.is_outdated:
            try:
                self._trust = load_trust(self._instance.tls_ca_cert, self._instance.tls_verify)
            except ConfigError as config_error:
                raise QueryError(Result.NETWORK, str(config_error)) from None
        return self._trust is not trust  # another thread may have reloaded them

    def _try_connect(self, url: SplitResult, deadline: Deadline) -> Connection:
        connection = self._new_connection(url, deadline.remaining())
        # The deadline covers the proxy's response to CONNECT too.
        _set_deadline(connection, deadline)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE_OPTIONS.items():
                if hasattr(socket, name):
                    connection.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        except BaseException:
            connection.close()
            raise
        return connection

    def _new_connection(self, url: SplitResult, timeout: float) -> Connection:
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc, timeout=timeout)
        context = self._trust.context if self._trust else None
        proxy = find_proxy(url, self._instance)
        if proxy is None:
            return http.client.HTTPSConnection(url.netloc, timeout=timeout, context=context)
        connection = http.client.HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=timeout, context=context
        )
        connection.set_tunnel(url.hostname or "", url.port or 443, proxy_headers(proxy))
        return connection


def _exchange(connection: Connection, url: SplitResult, request: Request, deadline: Deadline) -> Tuple[Response, bool]:
    """Send a request and read its response; return also whether the connection can be reused."""
    connection.sock.settimeout(deadline.remaining())
    _set_deadline(connection, deadline)
    target = f"{url.path}?{url.query}" if url.query else url.path
    connection.request(request.method, target, request.body or None, request.headers)
    raw = connection.getresponse()
    assert isinstance(raw, DeadlineResponse)
    try:
        response = read_response(raw.status, raw.headers, raw.read1, deadline.expires_at, request.max_bytes)
        return response, raw.is_complete()
    finally:
        raw.close()


def _set_deadline(connection: Connection, deadline: Deadline) -> None:
    connection.response_class = functools.partial(DeadlineResponse, deadline)  # type: ignore[assignment]
