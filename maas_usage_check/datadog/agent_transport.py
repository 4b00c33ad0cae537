"""The Datadog Agent's own HTTP client as the transport of signed requests."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from functools import partial
from typing import Any, Callable, List, Optional
from urllib.parse import SplitResult, urlsplit

import urllib3
from requests import PreparedRequest, RequestException
from requests.auth import AuthBase

from ..clock import Clock
from ..cloud.connection import Stamp, file_stamp, host_and_port
from ..cloud.proxy import check_proxies, find_proxy
from ..cloud.transport import ERRORS, Guard, Request, Response, read_response, remaining, transport_error
from ..config import Instance, Proxy
from ..config.urls import check_userinfo, split_hosts
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
        make_client: creates a client of the check; called again when the CA certificates change, which a client reads
            only once.
        instance: names proxy and CA certificates.
        guard: what requests through proxies pass.

    Raises ConfigError if the Agent or the environment names an invalid proxy.
    """

    def __init__(self, make_client: Callable[[], Any], instance: Instance, guard: Guard) -> None:
        self._client = make_client()
        self._make_client = make_client
        self._instance = instance
        self._guard = guard
        self._stamps = _authority_stamps(instance.tls_ca_cert)
        self._agent_proxy = _proxy_of(self._client)
        check_proxies(instance, self._agent_proxy)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; the shorter of `timeout` (seconds) and the Agent's own timeouts applies."""
        clock, url = Clock(), urlsplit(request.url)
        proxy, deadline = find_proxy(url, self._instance, self._agent_proxy), time.monotonic() + timeout

        def send() -> Response:
            try:
                return self._send(request, proxy, deadline)
            except (*ERRORS, urllib3.exceptions.HTTPError) as error:
                raise transport_error(_root(error), url.netloc, proxy) from None

        work: Callable[[], Response] = send if proxy is None else partial(self._guard, proxy, send)
        # The client restarts its timeout with every byte of the headers: a worker limits the total.
        result = run_with_deadline(work, clock, timeout + GRACE)
        if result is None:
            raise transport_error(TimeoutError(), url.netloc)
        if isinstance(result, Exception):
            raise result
        return result

    def _send(self, request: Request, proxy: Optional[SplitResult], deadline: float) -> Response:
        """Send a request; retry it if the certificate is not trusted and the CA certificates have changed."""
        try:
            return self._exchange(request, proxy, deadline)
        except OSError as error:
            stamps = _authority_stamps(self._instance.tls_ca_cert)
            if not isinstance(_root(error), ssl.SSLCertVerificationError) or stamps == self._stamps:
                raise
        self._client, self._stamps = self._make_client(), stamps
        return self._exchange(request, proxy, deadline)

    def _exchange(self, request: Request, proxy: Optional[SplitResult], deadline: float) -> Response:
        addresses = socket.getaddrinfo(*host_and_port(proxy or urlsplit(request.url)), type=socket.SOCK_STREAM)
        connect_limit, read_limit = self._client.options["timeout"]
        options = {
            "auth": SignedAuth(request),
            # The client tries one address after the other, each for the whole limit.
            "timeout": (min(connect_limit, remaining(deadline) / len(addresses)), min(read_limit, remaining(deadline))),
            "allow_redirects": False,
            "stream": True,
            # An empty one keeps the client from another that the environment may name.
            "proxies": {"http": "", "https": proxy.geturl() if proxy else ""},
        }
        send = self._client.post if request.method == "POST" else self._client.get
        with contextlib.closing(send(request.url, data=request.body or None, **options)) as response:
            # read() waits for all bytes, so that a slow server blocks it until the deadline of the cycle; read1() does
            # not, but urllib3 before 2.2 (older Agents) does not have it.
            read_raw = getattr(response.raw, "read1", response.raw.read)

            def read(size: int) -> bytes:
                return read_raw(size, decode_content=False) or b""

            return read_response(response.status_code, response.headers, read, deadline, request.max_bytes)


def _proxy_of(client: Any) -> Optional[Proxy]:
    """Return the proxy that the Agent's own configuration names; None if it names none."""
    proxies = client.options["proxies"]
    if not proxies or not proxies.get("https"):
        return None
    check_userinfo(proxies["https"], "the Agent's proxy.https")
    return Proxy(https=proxies["https"], no_proxy=tuple(split_hosts(" ".join(client.no_proxy_uris or ()))))


def _authority_stamps(ca: Optional[str]) -> List[Stamp]:
    """Return the stamp of a file or directory of authorities, or of the system's two."""
    system = ssl.get_default_verify_paths()
    return [file_stamp(path) for path in ([ca] if ca else [system.cafile, system.capath])]


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error, which the HTTP libraries wrap several times."""
    found, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, (OSError, http.client.HTTPException)) and not isinstance(cause, RequestException):
            found = cause
        cause = cause.__cause__ or cause.__context__
    return found
