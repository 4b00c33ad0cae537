"""What a transport is, and what the command line's and the Agent's share: reading a response, classifying an error."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Callable, Dict, Optional, Protocol

from msgspec import Struct

from ..errors import ConfigError, QueryError, Result

ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What the standard library raises for a bad host name, connection or response."""
NOT_TLS = "WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL PACKET_LENGTH_TOO_LONG RECORD_LAYER_FAILURE HTTP_REQUEST".split()
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


def transport_error(error: BaseException, host: str) -> QueryError:
    """Classify an error of the transport: timeout, broken connection, other protocol, or untrusted certificate."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return QueryError(Result.TIMED_OUT, f"{host} did not answer in time: check the network, or raise timeout")
    return QueryError(Result.NETWORK, _describe(error, host))


def _describe(error: BaseException, host: str) -> str:
    if isinstance(error, ConfigError):  # authorities were replaced by a file without certificates
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return f"{host}: the TLS certificate is not trusted ({reason}): set tls_ca_cert, or check the proxy"
    if isinstance(error, http.client.IncompleteRead):
        return TRUNCATED
    if isinstance(error, socket.gaierror):
        return f"{host}: no such host: check region, endpoint and name resolution"
    if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
        return f"{host} answered, but not in TLS: check endpoint, its port, and proxy"
    # RemoteDisconnected is an OSError too: a closed connection, not another protocol.
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"{host} answered, but not in HTTP: check endpoint, its port, and proxy"
    reason = getattr(error, "strerror", None) or type(error).__name__
    if str(error).startswith("Tunnel connection failed"):
        reason = f"the proxy refused: {_status(str(error)[26:29])}"  # the proxy's own text may echo the password
    return f"{host}: no connection ({reason}): check network, firewall and proxy"


def _status(code: str) -> str:
    known = {str(int(status)): f"{status.value} {status.phrase}" for status in http.HTTPStatus}
    return known.get(code, code if code.isdigit() else "without a status")
