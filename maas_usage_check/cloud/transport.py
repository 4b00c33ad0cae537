"""How a signed request reaches the cloud: a function that is handed in, and what all such functions share."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Callable, Dict, Optional, Protocol

from msgspec import Struct

from ..errors import QueryError, Result

OF_OURS = (http.client.ImproperConnectionState, http.client.InvalidURL)
"""What HTTP's library raises before anything is sent."""
NOT_TLS = frozenset(
    "WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL PACKET_LENGTH_TOO_LONG RECORD_LAYER_FAILURE HTTP_REQUEST".split()
)
"""OpenSSL's reasons where the other side spoke something else."""
CUT_SHORT = "the connection closed in the middle of the answer; it is tried again"
MIB = 1024 * 1024
MAX_BODY_BYTES = MIB
"""Most answers have a few hundred bytes; what is longer is none."""


class Request(Struct, frozen=True):
    """Hold a request exactly as it was signed, and how many bytes its answer may have.

    Its headers hold the signature: it prints as method and URL.
    """

    method: str
    url: str
    headers: Dict[str, str]
    body: bytes
    max_bytes: int = MAX_BODY_BYTES

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
"""Send a request within so many seconds. Redirects are not followed; QueryError is the only error.

One that keeps connections may offer `preconnect(url, seconds)` too, to connect before there is leave to ask.
"""


def read_response(
    status: int, headers: Headers, read: Callable[[int], bytes], deadline: float, max_bytes: int = MAX_BODY_BYTES
) -> Response:
    """Read an answer's body as a stream, to its declared length and no further than the cap and the time (monotonic).

    Of a refusal the status says enough: a body that is cut, hangs or is too long makes it no passing fault.
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
                Result.BAD_ANSWER, f"the answer is longer than {max_bytes // MIB} MiB, so it is not one: check endpoint"
            )
        if not chunk:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    if length is not None and length.isdigit() and len(body) < int(length):
        raise QueryError(Result.NETWORK, CUT_SHORT)
    return bytes(body)


def transport_error(error: BaseException, host: str) -> QueryError:
    """Tell apart a time-out, a broken connection, another protocol, and a certificate that was not believed."""
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
    is_tls = not (isinstance(error, ssl.SSLError) and error.reason in NOT_TLS)
    # Of the same kind is a connection that was closed, which is an OSError too.
    is_http = not isinstance(error, http.client.HTTPException) or isinstance(error, (OSError, *OF_OURS))
    if not (is_tls and is_http):
        protocol = "HTTP" if is_tls else "TLS"
        return QueryError(
            Result.NETWORK, f"{host} answered, but not in {protocol}: check endpoint, its port, and proxy"
        )
    why = getattr(error, "strerror", None) or type(error).__name__
    if str(error).startswith("Tunnel connection failed"):
        why = f"the proxy refused: {_status(str(error)[26:29])}"  # its own words may echo the password
    return QueryError(Result.NETWORK, f"{host}: no connection ({why}): check network, firewall and proxy")


def _status(code: str) -> str:
    known = {str(int(status)): f"{status.value} {status.phrase}" for status in http.HTTPStatus}
    return known.get(code, code if code.isdigit() else "without a status")
