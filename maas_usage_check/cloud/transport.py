"""What a transport is, and what the command line's and the Agent's share: reading a response, classifying an error."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Any, Callable, Dict, Optional, Protocol
from urllib.parse import SplitResult

from msgspec import Struct

from ..errors import ConfigError, QueryError, Result

ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What the standard library raises for a bad host name, connection or response."""
NOT_TLS = "WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL PACKET_LENGTH_TOO_LONG RECORD_LAYER_FAILURE HTTP_REQUEST".split()
"""OpenSSL's reasons if the server does not speak TLS."""
STRICT_CODES = range(80, 94)
"""OpenSSL's codes of what only its strict mode refuses, such as 85, a missing Authority Key Identifier."""
TUNNEL_FAILED = "Tunnel connection failed:"
"""How the standard library's HTTP client begins the error of a CONNECT that failed."""
OTHER_DOMAINS = {
    ".ap-southeast-1.myhuaweicloud.com": ".ap-southeast-1.myhuaweicloud.cn",
    ".ap-southeast-1.myhuaweicloud.cn": ".ap-southeast-1.myhuaweicloud.com",
    ".eu-west-101.myhuaweicloud.eu": ".eu-west-101.myhuaweicloud.com",
    ".eu-west-101.myhuaweicloud.com": ".eu-west-101.myhuaweicloud.eu",
}
"""Both domains of a region where the SDK's tables have more than one."""
TRUNCATED = "the connection closed in the middle of the answer; the request is retried"
MIB = 1024 * 1024
MAX_BODY_BYTES = MIB
"""Most answers have a few hundred bytes; a longer body is rejected."""


class Request(Struct, frozen=True):
    """Hold a request exactly as it was signed, and the longest body that is accepted in response.

    The headers hold the signature, so the repr shows only method and URL.
    """

    method: str
    url: str
    headers: Dict[str, str]
    body: bytes
    max_bytes: int = MAX_BODY_BYTES

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"


class Headers(Protocol):
    """Look up a header by its name in any case, as both HTTP libraries do."""

    def get(self, name: str, /) -> Optional[str]:
        """Return the value, or None."""


class Response(Struct, frozen=True):
    """Hold a whole response. A refusal may echo the access key, so the repr shows only status and length."""

    status: int
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


Transport = Callable[[Request, float], Response]
"""Send a request with a timeout in seconds. Redirects are not followed; QueryError is the only error.

A transport that pools connections may also have `preconnect(url, timeout, count)`, to connect while requests wait.
"""


Guard = Callable[[SplitResult, Callable[[], Any]], Any]
"""Call the function that opens a tunnel through a proxy and return its result, or raise QueryError instead."""


def unguarded(proxy: SplitResult, connect: Callable[[], Any]) -> Any:
    """Open every tunnel; see Guard."""
    return connect()


def remaining(deadline: float) -> float:
    """Return the seconds until a deadline (monotonic seconds); raise TimeoutError after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def read_response(
    status: int, headers: Headers, read: Callable[[int], bytes], deadline: float, max_bytes: int = MAX_BODY_BYTES
) -> Response:
    """Read a response's body as a stream, up to its declared length, `max_bytes` and `deadline` (monotonic seconds).

    The status of a refusal (401, 403) is enough: if its body is truncated, late or too long, the error stays a refusal.
    """
    try:
        return Response(status, headers, _read_body(headers.get("Content-Length"), read, deadline, max_bytes))
    except Exception:
        if status not in (401, 403):
            raise
        return Response(status, headers, b"")


def _read_body(length: Optional[str], read: Callable[[int], bytes], deadline: float, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in iter(lambda: read(65_536), b""):
        body += chunk
        if len(body) > max_bytes:
            text = f"the answer is longer than {max_bytes // MIB} MiB, so it is not the cloud's: check endpoint"
            raise QueryError(Result.BAD_ANSWER, text)
        remaining(deadline)
    if length is not None and length.isdigit() and len(body) < int(length):
        raise QueryError(Result.NETWORK, TRUNCATED)
    return bytes(body)


def proxy_refusal(proxy: SplitResult) -> QueryError:
    """Make the error of a 407: a proxy refused our password, or requires one."""
    name = proxy.netloc.rpartition("@")[2]
    if proxy.username is None:
        text = f"the proxy {name} requires a password (407): write http://USER:PASSWORD@{name} in proxy or HTTPS_PROXY"
    else:
        text = f"the proxy {name} refused the password in its URL (407): correct it in proxy or HTTPS_PROXY"
    return QueryError(Result.PROXY_REFUSED, text)


def transport_error(error: BaseException, host: str, proxy: Optional[SplitResult] = None) -> QueryError:
    """Classify an error of the transport: timeout, broken connection, other protocol, or untrusted certificate."""
    if proxy is not None and str(error).startswith(f"{TUNNEL_FAILED} 407"):
        return proxy_refusal(proxy)
    if isinstance(error, (socket.timeout, TimeoutError)):
        return QueryError(Result.TIMED_OUT, f"{host} did not answer in time: check the network, or raise timeout")
    return QueryError(Result.NETWORK, _describe(error, host))


def _describe(error: BaseException, host: str) -> str:
    if isinstance(error, ConfigError):  # authorities were replaced by a file without certificates
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        if error.verify_code in STRICT_CODES:
            remedy = "have its authority, or the proxy's, issued again with what is missing"
            return f"{host}: the TLS certificate breaks RFC 5280 ({reason}), which Python 3.13 checks: {remedy}"
        return f"{host}: the TLS certificate is not trusted ({reason}): set tls_ca_cert, or check the proxy"
    if isinstance(error, http.client.IncompleteRead):
        return TRUNCATED
    if isinstance(error, socket.gaierror):
        return f"{host}: {no_such_host(host)}"
    if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
        return f"{host} answered, but not in TLS: check endpoint, its port, and proxy"
    # RemoteDisconnected is an OSError too: a closed connection, not another protocol.
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"{host} answered, but not in HTTP: check endpoint, its port, and proxy"
    reason = getattr(error, "strerror", None) or type(error).__name__
    if str(error).startswith(TUNNEL_FAILED):
        code = str(error)[len(TUNNEL_FAILED) :][1:4]
        reason = f"the proxy refused: {_status(code)}"  # the proxy's own text may echo the password
    return f"{host}: no connection ({reason}): check network, firewall and proxy"


def no_such_host(host: str) -> str:
    """Describe that a name does not resolve. The hosts of some regions are known under another domain too."""
    name, _, port = host.partition(":")
    for domain, other in OTHER_DOMAINS.items():
        if name.endswith(domain):
            url = f"https://{name[: -len(domain)]}{other}{port and ':' + port}"
            return f"no such host: check name resolution, or try {url} as its endpoint"
    return "no such host: check region, endpoint and name resolution"


def _status(code: str) -> str:
    known = {str(int(status)): f"{status.value} {status.phrase}" for status in http.HTTPStatus}
    return known.get(code, code if code.isdigit() else "without a status")
