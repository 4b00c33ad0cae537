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
from ..cloud.tls import places_of, stamp_of
from ..cloud.transport import Request, Response, read_answer, transport_error
from ..scheduling import Crew

GRACE = 0.5
"""Seconds in which a refusal whose text did not come in time is still told by its status."""


class Signed(AuthBase):
    """Put the signed headers on a request as they are.

    They travel as `auth=` and not as `headers=`, because requests lets a .netrc overwrite Authorization otherwise.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    def __call__(self, prepared: PreparedRequest) -> PreparedRequest:
        """Replace what the client or the configuration put there under the same names."""
        prepared.headers.update(self._request.headers)
        return prepared


class AgentTransport:
    """Send requests by the Agent's own client, so that its proxy, TLS and timeout options hold; see Transport.

    Args:
        client: the check's.
        renew: makes another one: a client reads the authorities once.
        ca: the key `tls_ca_cert`.
    """

    def __init__(self, client: Any, renew: Callable[[], Any], ca: Optional[str]) -> None:
        self._client = client
        self._renew = renew
        self._places = places_of(ca)
        self._stamp = stamp_of(self._places)

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; of `timeout` and the Agent's own limits the shorter holds."""
        clock = Clock()
        # The client's own time begins anew with every byte of the headers: a crew holds them to one time.
        give_up = clock.monotonic() + timeout + GRACE
        sent = Crew(clock).do({"": partial(self._send, request, timeout)}, give_up=give_up)
        answer = sent.get("", TimeoutError())
        if isinstance(answer, (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)):
            raise transport_error(_root(answer), urlsplit(request.url).netloc)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _send(self, request: Request, timeout: float) -> Response:
        """Send a request; where its answer's certificate is not believed, again if the authorities were replaced."""
        give_up = time.monotonic() + timeout
        try:
            return self._exchange(request, timeout, give_up)
        except OSError as error:
            stamp = stamp_of(self._places)
            if not isinstance(_root(error), ssl.SSLCertVerificationError) or stamp == self._stamp:
                raise
        self._client, self._stamp = self._renew(), stamp
        return self._exchange(request, give_up - time.monotonic(), give_up)

    def _exchange(self, request: Request, timeout: float, give_up: float) -> Response:
        options = {
            "auth": Signed(request),
            "timeout": tuple(min(limit, timeout) for limit in self._client.options["timeout"]),
            "allow_redirects": False,
            "stream": True,
        }
        url = urlsplit(request.url)
        if url.scheme == "http":  # for this machine alone: it must not leave it by a proxy
            options["proxies"] = {"http": "", "https": ""}
        send = self._client.post if request.method == "POST" else self._client.get
        answer = None
        try:
            answer = send(request.url, data=request.body or None, **options)
            # read waits until so many bytes are there, so that a drip holds it up to the cycle's deadline; read1 does
            # not, but the urllib3 of older Agents (before 2.2) lacks it.
            read_raw = getattr(answer.raw, "read1", answer.raw.read)

            def read_some(size: int) -> bytes:
                return read_raw(size, decode_content=False) or b""

            return read_answer(answer.status_code, answer.headers, read_some, give_up, request.largest)
        finally:
            if answer is not None:
                answer.close()


def _root(error: BaseException) -> BaseException:
    """Find the operating system's own word: the client's libraries wrap it several times over."""
    own = (OSError, http.client.HTTPException)
    found = [each for each in _chain(error) if isinstance(each, own) and not isinstance(each, RequestException)]
    return found[-1] if found else error


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: Any = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
