"""The Datadog Agent's own HTTP client as the transport of signed requests."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import time
from functools import partial
from typing import Any, Callable, List, Optional, Tuple
from urllib.parse import urlsplit

import urllib3
from requests import PreparedRequest, RequestException
from requests.auth import AuthBase

from ..clock import Clock
from ..cloud.transport import ERRORS, Request, Response, read_response, remaining, transport_error
from ..watchdog import run_with_deadline

GRACE = 0.5
"""Seconds after the timeout in which a refusal without its body is still recognised by its status."""


class SignedAuth(AuthBase):
    """Set the signed headers of a request.

    With `headers=` instead of `auth=`, requests would let a .netrc overwrite Authorization.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    def __call__(self, prepared: PreparedRequest) -> PreparedRequest:
        """Overwrite headers of the same names from the client or the configuration."""
        prepared.headers.update(self._request.headers)
        return prepared


class AgentTransport:
    """Send requests with the Agent's HTTP client, so that its proxy, TLS and timeout options apply; see Transport.

    Args:
        client: the client of the check.
        make_client: creates another client, since a client reads the CA certificates only once.
        ca: the configuration key `tls_ca_cert`.
    """

    def __init__(self, client: Any, make_client: Callable[[], Any], ca: Optional[str]) -> None:
        self._client = client
        self._make_client = make_client
        self._ca = ca
        self._stamps = _authority_stamps(ca)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; the shorter of `timeout` (seconds) and the Agent's own timeouts applies."""
        clock = Clock()
        # The client restarts its timeout with every byte of the headers: a worker limits the total.
        result = run_with_deadline(partial(self._send, request, timeout), clock, timeout + GRACE) or TimeoutError()
        if isinstance(result, (*ERRORS, urllib3.exceptions.HTTPError)):
            raise transport_error(_root(result), urlsplit(request.url).netloc)
        if isinstance(result, Exception):
            raise result
        return result

    def _send(self, request: Request, timeout: float) -> Response:
        """Send a request; retry it if the certificate is not trusted and the CA certificates have changed."""
        deadline = time.monotonic() + timeout
        try:
            return self._exchange(request, deadline)
        except OSError as error:
            stamps = _authority_stamps(self._ca)
            if not isinstance(_root(error), ssl.SSLCertVerificationError) or stamps == self._stamps:
                raise
        self._client, self._stamps = self._make_client(), stamps
        return self._exchange(request, deadline)

    def _exchange(self, request: Request, deadline: float) -> Response:
        options = {
            "auth": SignedAuth(request),
            "timeout": tuple(min(limit, remaining(deadline)) for limit in self._client.options["timeout"]),
            "allow_redirects": False,
            "stream": True,
        }
        url = urlsplit(request.url)
        if url.scheme == "http":  # loopback only: no proxy
            options["proxies"] = {"http": "", "https": ""}
        send = self._client.post if request.method == "POST" else self._client.get
        with contextlib.closing(send(request.url, data=request.body or None, **options)) as response:
            # read() waits for all bytes, so that a slow server blocks it until the deadline of the cycle; read1() does
            # not, but urllib3 before 2.2 (older Agents) does not have it.
            read_raw = getattr(response.raw, "read1", response.raw.read)

            def read(size: int) -> bytes:
                return read_raw(size, decode_content=False) or b""

            return read_response(response.status_code, response.headers, read, deadline, request.max_bytes)


def _authority_stamps(ca: Optional[str]) -> List[Tuple[int, ...]]:
    """Return inode, size and mtime of a file or directory of authorities, or of the system's two."""
    system = ssl.get_default_verify_paths()
    stamps: List[Tuple[int, ...]] = []
    for path in [ca] if ca else [system.cafile, system.capath]:
        with contextlib.suppress(OSError, TypeError):  # it is being replaced, or the system has none
            status = os.stat(path)
            stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return stamps


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error, which the HTTP libraries wrap several times."""
    found, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, (OSError, http.client.HTTPException)) and not isinstance(cause, RequestException):
            found = cause
        cause = cause.__cause__ or cause.__context__
    return found
