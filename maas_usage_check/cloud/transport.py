"""How a signed request reaches the cloud: a function that is handed in, and the one for the command line.

The standard library carries it: importing `requests` alone would take as long as all of a `collect`. The Agent
hands in its own HTTP client instead.
"""

from __future__ import annotations

import functools
import http.client
import os
import socket
import ssl
import time
from typing import Any, Callable, Dict, Optional, Protocol, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from ..config.instance import Instance
from ..errors import ConfigError, QueryError, Result
from .timed_response import TimedAnswer

CUT_SHORT = "the connection closed in the middle of the answer; it is tried again"
LARGEST_BODY = 1024 * 1024
"""An answer is a few hundred bytes; what is longer is not one."""


class Request(Struct, frozen=True):
    """Hold a request exactly as it was signed. Its headers hold the signature: it prints as method and URL."""

    method: str
    url: str
    headers: Dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"


class Headers(Protocol):
    """Find a header by its name in any case, as both HTTP libraries do."""

    def get(self, name: str, /) -> Optional[str]:
        """Return the value, or None."""


class Response(Struct, frozen=True):
    """Hold a whole answer; `headers` finds a name in any case. A refusal may echo the key: it prints as its status."""

    status: int
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


Transport = Callable[[Request, float], Response]
"""Send a request within so many seconds. Redirects are not followed; QueryError is the only error."""


def read_body(read: Callable[[int], bytes], length: Optional[str], give_up: float) -> bytes:
    """Read a body as a stream, to its declared length and no further than the cap and the time (monotonic)."""
    body = b""
    while True:
        chunk = read(65_536)
        body += chunk
        if len(body) > LARGEST_BODY:
            raise QueryError(Result.BAD_ANSWER, "the answer is longer than 1 MiB, so it is not one: check endpoint")
        if not chunk:
            break
        if time.monotonic() > give_up:
            raise TimeoutError
    if length is not None and length.isdigit() and len(body) < int(length):
        raise QueryError(Result.NETWORK, CUT_SHORT)
    return body


class DirectTransport:
    """Send each request over a connection of its own, by the instance's TLS and proxy options or the environment's."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        # Only where it serves: reading the system's certificates takes a tenth of a collect.
        https = any(url.startswith("https:") for url in (instance.endpoint, instance.iam_endpoint))
        self._tls = _tls(instance) if https or instance.tls_ca_cert else None

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; see Transport."""
        give_up = time.monotonic() + timeout
        url = urlsplit(request.url)
        connection = None
        try:
            connection = self._connection(url, timeout)
            connection.response_class = functools.partial(TimedAnswer, give_up)  # type: ignore[assignment]
            target = f"{url.path}?{url.query}" if url.query else url.path
            connection.request(request.method, target, request.body or None, request.headers)
            answer = connection.getresponse()
            body = read_body(answer.read1, answer.headers.get("Content-Length"), give_up)
            return Response(answer.status, answer.headers, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise transport_error(error, url.netloc) from None
        finally:
            if connection is not None:
                connection.close()

    def way(self, url: str) -> Tuple[str, int]:
        """Tell the host and port that a request to a URL connects to: the proxy's, where there is one."""
        parts = urlsplit(url)
        to = self._proxy(parts) or parts
        return to.hostname or "", to.port or (443 if to.scheme == "https" else 80)

    def probe(self, url: str, timeout: float) -> str:
        """Connect without asking anything; return by what. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            connection = self._connection(parts, timeout)
            connection.connect()
            version = getattr(connection.sock, "version", lambda: "plain TCP")()
            connection.close()
            return str(version)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise transport_error(error, parts.netloc) from None

    def _connection(self, url: SplitResult, timeout: float) -> http.client.HTTPConnection:
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc, timeout=timeout)
        way = self._proxy(url)
        if way is None:
            return http.client.HTTPSConnection(url.netloc, timeout=timeout, context=self._tls)
        connection = http.client.HTTPSConnection(way.hostname or "", way.port or 80, timeout=timeout, context=self._tls)
        connection.set_tunnel(url.hostname or "", url.port or 443, _proxy_headers(way))
        return connection

    def _proxy(self, url: SplitResult) -> Optional[SplitResult]:
        """Find the proxy for a URL: the instance's own, else the one that the environment or the system names."""
        if url.scheme == "http" or self._instance.skip_proxy:  # plain http is for this machine: it must not leave it
            return None
        import urllib.request as system

        bypass_environment: Any = vars(system)["proxy_bypass_environment"]  # public, but not in the stubs
        given = self._instance.proxy
        if given is None:
            proxy = None if system.proxy_bypass(url.netloc) else system.getproxies().get("https")
        else:
            proxy = None if bypass_environment(url.netloc, {"no": ",".join(given.no_proxy)}) else given.https
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _proxy_headers(way: SplitResult) -> Dict[str, str]:
    if way.username is None:
        return {}
    import base64

    pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def transport_error(error: BaseException, host: str) -> QueryError:
    """Tell a time-out from a broken connection, and both from a certificate that was not believed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        return QueryError(
            Result.NETWORK, f"{host}: the TLS certificate was not believed ({why}): set tls_ca_cert, or check the proxy"
        )
    if isinstance(error, (socket.timeout, TimeoutError)):
        return QueryError(Result.TIMED_OUT, f"{host} did not answer in time: check the network, or raise timeout")
    if isinstance(error, http.client.IncompleteRead):
        return QueryError(Result.NETWORK, CUT_SHORT)
    if isinstance(error, socket.gaierror):
        return QueryError(Result.NETWORK, f"{host}: no such host: check region, endpoint and name resolution")
    why = getattr(error, "strerror", None) or type(error).__name__
    if str(error).startswith("Tunnel connection failed"):
        why = f"the proxy refused: {str(error)[26:66]}"
    return QueryError(Result.NETWORK, f"{host}: no connection ({why}): check network, firewall and proxy")


def _tls(instance: Instance) -> ssl.SSLContext:
    ca = instance.tls_ca_cert
    try:
        context = ssl.create_default_context(
            cafile=ca if ca and not os.path.isdir(ca) else None, capath=ca if ca and os.path.isdir(ca) else None
        )
    except (OSError, ssl.SSLError):
        raise ConfigError(f"tls_ca_cert: {ca} cannot be read as certificates; name a PEM file") from None
    if not instance.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
