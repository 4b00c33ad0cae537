"""The Datadog Agent's own HTTP client as the transport of signed requests."""

from __future__ import annotations

import http.client
import ssl
import time
from functools import partial
from typing import Any, Callable, Iterator, Optional
from urllib.parse import urlsplit

import urllib3
from requests import PreparedRequest, RequestException
from requests.auth import AuthBase

from ..clock import Clock
from ..cloud.tls import ca_files, file_stamps
from ..cloud.transport import Request, Response, read_response, transport_error
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
        self._places = ca_files(ca)
        self._stamp = file_stamps(self._places)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; the shorter of `timeout` (seconds) and the Agent's own timeouts applies."""
        clock = Clock()
        # The client restarts its timeout with every byte of the headers: a worker limits the total.
        result = run_with_deadline(partial(self._send, request, timeout), clock, timeout + GRACE) or TimeoutError()
        if isinstance(result, (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)):
            raise transport_error(_root(result), urlsplit(request.url).netloc)
        if isinstance(result, Exception):
            raise result
        return result

    def _send(self, request: Request, timeout: float) -> Response:
        """Send a request; retry it if the certificate is not trusted and the CA certificates have changed."""
        deadline = time.monotonic() + timeout
        try:
            return self._exchange(request, timeout, deadline)
        except OSError as error:
            stamp = file_stamps(self._places)
            if not isinstance(_root(error), ssl.SSLCertVerificationError) or stamp == self._stamp:
                raise
        self._client, self._stamp = self._make_client(), stamp
        return self._exchange(request, deadline - time.monotonic(), deadline)

    def _exchange(self, request: Request, timeout: float, deadline: float) -> Response:
        options = {
            "auth": SignedAuth(request),
            "timeout": tuple(min(limit, timeout) for limit in self._client.options["timeout"]),
            "allow_redirects": False,
            "stream": True,
        }
        url = urlsplit(request.url)
        if url.scheme == "http":  # loopback only: no proxy
            options["proxies"] = {"http": "", "https": ""}
        send = self._client.post if request.method == "POST" else self._client.get
        response = None
        try:
            response = send(request.url, data=request.body or None, **options)
            # read() waits for all bytes, so that a slow server blocks it until the deadline of the cycle; read1() does
            # not, but urllib3 before 2.2 (older Agents) does not have it.
            read_raw = getattr(response.raw, "read1", response.raw.read)

            def read_some(size: int) -> bytes:
                return read_raw(size, decode_content=False) or b""

            return read_response(response.status_code, response.headers, read_some, deadline, request.max_bytes)
        finally:
            if response is not None:
                response.close()


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error, which the HTTP libraries wrap several times."""
    system_errors = (OSError, http.client.HTTPException)
    found = [
        each for each in _chain(error) if isinstance(each, system_errors) and not isinstance(each, RequestException)
    ]
    return found[-1] if found else error


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: Any = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
