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
from .deadline import TimedResponse, Timing
from .pool import Connection, Pool
from .proxies import find_proxy, proxy_headers
from .tls import UNKNOWN_ISSUER, Trust, trust
from .transport import Request, Response, read_answer, transport_error

ERRORS = (OSError, http.client.HTTPException, ValueError)
PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
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
        timing = Timing(time.monotonic() + timeout)
        url = urlsplit(request.url)
        place = self._place(url)
        connection, complete = self._pool.take(place), False
        try:
            if connection is not None:
                try:
                    response, complete = _exchange(connection, url, request, timing)
                    return response
                except (OSError, http.client.HTTPException):
                    self._pool.drop(place)
                    if timing.began:
                        raise
                    connection.close()
            connection = self._open(url, timing.left())
            response, complete = _exchange(connection, url, request, timing)
            return response
        except ERRORS as error:
            raise transport_error(error, url.netloc) from None
        finally:
            if connection is not None and not complete:
                connection.close()
            self._pool.give(place, connection if complete else None, self._instance.max_concurrency)

    def prepare(self, url: str, timeout: float) -> None:
        """Connect before there is leave to ask, unless connections are enough; a failure is left to the request."""
        parts = urlsplit(url)
        place, most = self._place(parts), self._instance.max_concurrency
        if self._pool.take_spare(place, most):
            connection = None
            try:
                connection = self._open(parts, timeout)
            except (*ERRORS, QueryError):
                pass
            finally:
                self._pool.give(place, connection, most)

    def way(self, url: str) -> Tuple[str, int]:
        """Tell the host and port that a request to a URL connects to: the proxy's, where there is one."""
        parts = urlsplit(url)
        to = find_proxy(parts, self._instance) or parts
        return to.hostname or "", to.port or (443 if to.scheme == "https" else 80)

    def probe(self, url: str, timeout: float) -> str:
        """Connect without asking anything; return by what. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            connection = self._open(parts, timeout)
            version = getattr(connection.sock, "version", lambda: "plain TCP")()
            connection.close()
            return str(version)
        except ERRORS as error:
            raise transport_error(error, parts.netloc) from None

    def close(self) -> None:
        """Close the connections that are kept; what is sent from now on has one of its own."""
        self._pool.close()

    def _place(self, url: SplitResult) -> Hashable:
        return url.scheme, url.netloc, self._options

    def _open(self, url: SplitResult, timeout: float) -> Connection:
        """Connect; a host that is not believed is tried again with authorities that were not known before."""
        timing = Timing(time.monotonic() + timeout)
        while True:
            trusted = self._trust
            narrow = trusted is not None and trusted.is_narrow
            try:
                return self._connected(url, timing)
            except ssl.SSLCertVerificationError as error:
                if trusted is None or not self._learn(trusted, narrow, error):
                    raise

    def _learn(self, trusted: Trust, narrow: bool, error: ssl.SSLCertVerificationError) -> bool:
        """Read the rest of the system's authorities, or replaced ones; return whether any of them are new."""
        if narrow and error.verify_code in UNKNOWN_ISSUER:
            trusted.widen()
            return True
        if self._trust is trusted and trusted.is_outdated:
            try:
                self._trust = trust(self._instance.tls_ca_cert, self._instance.tls_verify)
            except ConfigError as unreadable:
                raise QueryError(Result.NETWORK, str(unreadable)) from None
        return self._trust is not trusted  # another thread may have been faster

    def _connected(self, url: SplitResult, timing: Timing) -> Connection:
        connection = self._connection(url, timing.left())
        # The proxy's answer to a tunnel is held to the time too.
        _time(connection, timing)
        host = connection.host
        try:
            if host.isascii():
                # A str would be encoded as a name in any script: to import what does that takes 1 ms and half a MiB.
                connection.host = host.encode()  # type: ignore[assignment]
            connection.connect()
            connection.host = host
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in PROBES.items():
                if hasattr(socket, name):
                    connection.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connection(self, url: SplitResult, timeout: float) -> Connection:
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc, timeout=timeout)
        context = self._trust.context if self._trust else None
        way = find_proxy(url, self._instance)
        if way is None:
            return http.client.HTTPSConnection(url.netloc, timeout=timeout, context=context)
        connection = http.client.HTTPSConnection(way.hostname or "", way.port or 80, timeout=timeout, context=context)
        connection.set_tunnel(url.hostname or "", url.port or 443, proxy_headers(way))
        return connection


def _exchange(connection: Connection, url: SplitResult, request: Request, timing: Timing) -> Tuple[Response, bool]:
    """Send a request and read its answer; tell too whether another may follow over the same connection."""
    connection.sock.settimeout(timing.left())
    _time(connection, timing)
    target = f"{url.path}?{url.query}" if url.query else url.path
    connection.request(request.method, target, request.body or None, request.headers)
    answer = connection.getresponse()
    assert isinstance(answer, TimedResponse)
    try:
        response = read_answer(answer.status, answer.headers, answer.read1, timing.give_up, request.largest)
        return response, answer.is_complete()
    finally:
        answer.close()


def _time(connection: Connection, timing: Timing) -> None:
    connection.response_class = functools.partial(TimedResponse, timing)  # type: ignore[assignment]
