"""The transport of the command line.

The standard library carries it: importing `requests` alone would take as long as all of a `collect`.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import time
from typing import Hashable, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

from ..config import Instance
from ..errors import ConfigError, QueryError, Result
from .deadline import Deadline, DeadlineResponse
from .pool import Connection, Pool
from .proxies import find_proxy, proxy_headers
from .tls import UNKNOWN_ISSUER, Trust, trust
from .transport import Request, Response, read_response, transport_error

ERRORS = (OSError, http.client.HTTPException, ValueError)
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, seconds and a count, where the system has them: what is between here and the cloud forgets idle connections
without a word, and each would cost a time-out."""


class DirectTransport:
    """Send requests by the instance's TLS and proxy options, or the environment's, over connections that are kept.

    Making one raises ConfigError where the environment names a proxy that cannot be used. Instances may share a pool;
    whoever made it, or this where none is given, closes it.
    """

    def __init__(self, instance: Instance, pool: Optional[Pool] = None) -> None:
        self._instance = instance
        self._pool = pool or Pool()
        self._options = (instance.tls_ca_cert, instance.tls_verify, instance.proxy, instance.skip_proxy)
        # Only where it serves: to read a bundle of authorities takes a quarter of a collect.
        endpoints = (instance.endpoint, instance.iam_endpoint, instance.cloud_eye_endpoint if instance.models else "")
        secure = [url for url in endpoints if url.startswith("https:")]
        wanted = secure or instance.tls_ca_cert
        self._trust = trust(instance.tls_ca_cert, instance.tls_verify) if wanted else None
        for url in secure:
            find_proxy(urlsplit(url), instance)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; see Transport.

        One that a kept connection did not answer with a single byte, because its other side had just closed it, is
        sent again at once over a new one: both count as one.
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

    def preconnect(self, url: str, timeout: float) -> None:
        """Connect before there is leave to ask, unless connections are enough; a failure is left to the request."""
        parts = urlsplit(url)
        pool_key, maxsize = self._pool_key(parts), self._instance.max_concurrency
        if self._pool.reserve(pool_key, maxsize):
            connection = None
            try:
                connection = self._connect(parts, timeout)
            except (*ERRORS, QueryError):
                pass
            finally:
                self._pool.release(pool_key, connection, maxsize)

    def address(self, url: str) -> Tuple[str, int]:
        """Tell the host and port that a request to a URL connects to: the proxy's, where there is one."""
        parts = urlsplit(url)
        to = find_proxy(parts, self._instance) or parts
        return to.hostname or "", to.port or (443 if to.scheme == "https" else 80)

    def check_connection(self, url: str, timeout: float) -> str:
        """Connect without asking anything; return by what. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            connection = self._connect(parts, timeout)
            version = getattr(connection.sock, "version", lambda: "plain TCP")()
            connection.close()
            return str(version)
        except ERRORS as error:
            raise transport_error(error, parts.netloc) from None

    def close(self) -> None:
        """Close the connections that are kept; what is sent from now on has one of its own."""
        self._pool.close()

    def _pool_key(self, url: SplitResult) -> Hashable:
        return url.scheme, url.netloc, self._options

    def _connect(self, url: SplitResult, timeout: float) -> Connection:
        """Connect; a host that is not believed is tried again with authorities that were not known before."""
        deadline = Deadline(time.monotonic() + timeout)
        while True:
            trusted = self._trust
            narrow = trusted is not None and trusted.is_directory_only
            try:
                return self._try_connect(url, deadline)
            except ssl.SSLCertVerificationError as error:
                if trusted is None or not self._reload_authorities(trusted, narrow, error):
                    raise

    def _reload_authorities(self, trusted: Trust, narrow: bool, error: ssl.SSLCertVerificationError) -> bool:
        """Read the rest of the system's authorities, or replaced ones; return whether any of them are new."""
        if narrow and error.verify_code in UNKNOWN_ISSUER:
            trusted.load_system_bundle()
            return True
        if self._trust is trusted and trusted.is_outdated:
            try:
                self._trust = trust(self._instance.tls_ca_cert, self._instance.tls_verify)
            except ConfigError as unreadable:
                raise QueryError(Result.NETWORK, str(unreadable)) from None
        return self._trust is not trusted  # another thread may have been faster

    def _try_connect(self, url: SplitResult, deadline: Deadline) -> Connection:
        connection = self._new_connection(url, deadline.remaining())
        # The proxy's answer to a tunnel is held to the time too.
        _time(connection, deadline)
        host = connection.host
        try:
            if host.isascii():
                # A str would be encoded as a name in any script: to import what does that takes 1 ms and half a MiB.
                connection.host = host.encode()  # type: ignore[assignment]
            connection.connect()
            connection.host = host
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
    """Send a request and read its answer; tell too whether another may follow over the same connection."""
    connection.sock.settimeout(deadline.remaining())
    _time(connection, deadline)
    target = f"{url.path}?{url.query}" if url.query else url.path
    connection.request(request.method, target, request.body or None, request.headers)
    answer = connection.getresponse()
    assert isinstance(answer, DeadlineResponse)
    try:
        response = read_response(answer.status, answer.headers, answer.read1, deadline.expires_at, request.max_bytes)
        return response, answer.is_complete()
    finally:
        answer.close()


def _time(connection: Connection, deadline: Deadline) -> None:
    connection.response_class = functools.partial(DeadlineResponse, deadline)  # type: ignore[assignment]
