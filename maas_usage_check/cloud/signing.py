"""Sign requests with the SDK's Signer, which imports no HTTP client."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from ..version import __version__
from .credentials import Credentials
from .transport import Request


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
