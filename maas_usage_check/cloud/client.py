"""The client on top of the SDK's signer: signs a call, sends it, classifies the answer."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from msgspec.structs import replace

from ..clock import Clock
from ..config import Instance
from ..errors import QueryError, Result
from ..version import __version__
from .access_key import Credentials
from .redaction import redact_body, redactor
from .source import Call
from .transport import Request, Transport


class Client:
    """Send the calls of one cycle with one access key. QueryError is the only error.

    Args:
        instance: names hosts and options.
        credentials: the access key.
        transport: carries requests.
        clock: of the process.
        deadline: returns the cycle's, in monotonic seconds.
        late: the text of the error of a request that the deadline cut short.

    Attributes:
        project_id: fills `{project_id}` in a call's path.
    """

    def __init__(
        self,
        instance: Instance,
        credentials: Credentials,
        transport: Transport,
        clock: Clock,
        deadline: Callable[[], float],
        late: str,
    ) -> None:
        self.project_id = instance.project_id or ""
        self._instance = instance
        self._credentials = credentials
        self._transport = transport
        self._preconnect = getattr(transport, "preconnect", None)  # where the transport keeps connections
        self._clock = clock
        self._deadline = deadline
        self._late = late
        self._redact = redactor(credentials.secrets())
        self._sent: List[str] = []  # the method of each request: to append is one step, whatever the threads

    @property
    def http_requests(self) -> int:
        """Count the requests that were sent."""
        return len(self._sent)

    def send(self, endpoint_key: str, call: Call) -> bytes:
        """Sign a call and send it to the endpoint of a configuration key; return the body of a 200, without secrets."""
        timeout = self._timeout()
        if timeout <= 0:
            raise QueryError(Result.TIMED_OUT, self._late, is_consequence=True)
        url = getattr(self._instance, endpoint_key) + call.path.replace("{project_id}", self.project_id)
        request = sign_request(call.method, url, self._credentials, self._clock.now(), call.query, call.body)
        self._sent.append(call.method)
        try:
            response = self._transport(replace(request, max_bytes=call.max_bytes), timeout)
        except QueryError as error:
            if error.is_consequence:
                self._sent.pop()  # it was not sent
            if error.result == Result.TIMED_OUT and self._clock.monotonic() >= self._deadline():
                raise QueryError(Result.TIMED_OUT, self._late) from None
            # A proxy may quote the request.
            error.args = (self._redact_error(str(error)),)
            raise
        if response.status == 200:
            return redact_body(response.body, self._redact)
        from .error_responses import response_error  # saves 10 million instructions, 2 % of a `collect`

        raise response_error(response, call.permission, self._clock.now(), self._redact_error)

    def preconnect(self, endpoint_key: str, count: int) -> None:
        """Begin to open so many connections, before requests may be sent."""
        timeout = self._timeout()
        if self._preconnect is not None and timeout > 0:
            self._preconnect(getattr(self._instance, endpoint_key), timeout, count)

    def _timeout(self) -> float:
        return min(self._instance.timeout, self._deadline() - self._clock.monotonic())

    def _redact_error(self, text: str) -> str:
        # Labels are secret too where they are no tag. In an answer they may be part of a number.
        labels = () if self._instance.per_api_key else self._instance.api_keys or ()
        return redactor(labels)(self._redact(text))


def sign_request(
    method: str,
    url: str,
    credentials: Credentials,
    now_s: float,
    query: Optional[List[Tuple[str, str]]] = None,
    body: Optional[Dict[str, Any]] = None,
) -> Request:
    """Sign a request with SDK-HMAC-SHA256.

    Args:
        method: GET or POST.
        url: scheme, host and path, without a query.
        credentials: the key; a temporary key's token is sent as X-Security-Token and signed with the rest.
        now_s: seconds since 1970; the cloud refuses a signature more than 15 minutes off its own clock.
        query: names and values.
        body: sent as JSON; the bytes sent are the bytes signed.
    """
    parts = urlsplit(url)
    headers = {
        "Host": parts.netloc,
        "User-Agent": f"maas-usage-check/{__version__}",
        "Accept-Encoding": "identity",
        "X-Sdk-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s)),
    }
    content = b""
    if body is not None:
        content = json.dumps(body, separators=(",", ":")).encode()
        headers["Content-Type"] = "application/json"
    if credentials.token:
        headers["X-Security-Token"] = credentials.token
    request = SdkRequest(
        method=method,
        schema=parts.scheme,
        host=parts.netloc,
        resource_path=parts.path,
        query_params=query or [],
        header_params=headers,
        body=content,
    )
    Signer(credentials).sign(request)
    return Request(method, f"{parts.scheme}://{parts.netloc}{request.uri}", dict(request.header_params), content)
