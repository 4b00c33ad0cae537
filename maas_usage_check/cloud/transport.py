"""The interface of a transport, a function that sends signed requests, and the code that all transports share."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Callable, Dict, Optional, Protocol

from msgspec import Struct

from ..errors import QueryError, Result

UNSENT_ERRORS = (http.client.ImproperConnectionState, http.client.InvalidURL)
"""Raised by http.client before anything is sent."""
NOT_TLS = frozenset(
    "WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL PACKET_LENGTH_TOO_LONG RECORD_LAYER_FAILURE HTTP_REQUEST".split()
)
"""OpenSSL's reasons if the server does not speak TLS."""
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


def read_response(
    status: int, headers: Headers, read: Callable[[int], bytes], deadline: float, max_bytes: int = MAX_BODY_BYTES
) -> Response:
    """Read a response's body as a stream, up to its declared length, `max_bytes` and `deadline` (monotonic seconds).

    The status of a refusal (401, 403) is enough: if its body is truncated, late or too long, the error stays a refusal.
    """
    try:
        return Response(status, headers, _read_body(read, headers.get("Content-Length"), deadline, max_bytes))
    except Exception:
        if status not in (401, 403):
            raise
        return Response(status, headers, b"")


def _read_body(read: Callable[[int], bytes], length: Optional[str], deadline: float, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        chunk = read(65_536)
        body += chunk
        if len(body) > max_bytes:
            raise QueryError(
                Result.BAD_ANSWER,
                f"the answer is longer than {max_bytes // MIB} MiB, so it is not the cloud's: check endpoint",
            )
        if not chunk:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    if length is not None and length.isdigit() and len(body) < int(length):
        raise QueryError(Result.NETWORK, TRUNCATED)
    return bytes(body)


def transport_error(error: BaseException, host: str) -> QueryError:
    """Classify an error of the transport: timeout, broken connection, other protocol, or untrusted certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return QueryError(
            Result.NETWORK,
            f"{host}: the TLS certificate is not trusted ({reason}): set tls_ca_cert, or check the proxy",
        )
    if isinstance(error, (socket.timeout, TimeoutError)):
        return QueryError(Result.TIMED_OUT, f"{host} did not answer in time: check the network, or raise timeout")
    if isinstance(error, http.client.IncompleteRead):
        return QueryError(Result.NETWORK, TRUNCATED)
    if isinstance(error, socket.gaierror):
        return QueryError(Result.NETWORK, f"{host}: no such host: check region, endpoint and name resolution")
    is_tls = not (isinstance(error, ssl.SSLError) and error.reason in NOT_TLS)
    # RemoteDisconnected is an HTTPException and an OSError: a closed connection, not another protocol.
    is_http = not isinstance(error, http.client.HTTPException) or isinstance(error, (OSError, *UNSENT_ERRORS))
    if not (is_tls and is_http):
        protocol = "HTTP" if is_tls else "TLS"
        return QueryError(
            Result.NETWORK, f"{host} answered, but not in {protocol}: check endpoint, its port, and proxy"
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    if str(error).startswith("Tunnel connection failed"):
        reason = f"the proxy refused: {_status(str(error)[26:29])}"  # the proxy's own text may echo the password
    return QueryError(Result.NETWORK, f"{host}: no connection ({reason}): check network, firewall and proxy")


def _status(code: str) -> str:
    known = {str(int(status)): f"{status.value} {status.phrase}" for status in http.HTTPStatus}
    return known.get(code, code if code.isdigit() else "without a status")
