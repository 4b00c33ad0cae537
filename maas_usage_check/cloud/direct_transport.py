"""The transport of the command line.

The standard library carries it: importing `requests` alone would take as long as all of a `collect`.
"""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import time
from typing import Any, Dict, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..config import Instance
from ..config.urls import check_proxy
from ..errors import ConfigError
from .timed_response import TimedResponse
from .transport import Request, Response, read_answer, transport_error


class DirectTransport:
    """Send each request over a connection of its own, by the instance's TLS and proxy options or the environment's.

    Making one raises ConfigError where the environment names a proxy that cannot be used.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        # Only where it serves: reading the system's certificates takes a tenth of a collect.
        endpoints = (instance.endpoint, instance.iam_endpoint, instance.cloud_eye_endpoint if instance.models else "")
        secure = [url for url in endpoints if url.startswith("https:")]
        self._tls = _tls(instance.tls_ca_cert, instance.tls_verify) if secure or instance.tls_ca_cert else None
        for url in secure:
            self._proxy(urlsplit(url))

    def __call__(self, request: Request, timeout: float) -> Response:
        """Send a request; see Transport."""
        give_up = time.monotonic() + timeout
        url = urlsplit(request.url)
        connection = None
        try:
            connection = self._connection(url, timeout)
            connection.response_class = functools.partial(TimedResponse, give_up)  # type: ignore[assignment]
            target = f"{url.path}?{url.query}" if url.query else url.path
            connection.request(request.method, target, request.body or None, request.headers)
            answer = connection.getresponse()
            return read_answer(answer.status, answer.headers, answer.read1, give_up, request.largest)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise transport_error(error, url.netloc) from None
        finally:
            if connection is not None:
                connection.close()

    def way(self, url: str) -> Tuple[str, int]:
        """Tell the host and port that a request to a URL connects to: the proxy's, where there is one."""
        parts = urlsplit(url)
        to = self._proxy(parts) or parts
        return to.hostname or "", to.port or (443 if to.scheme == "https" else 80)

    def probe(self, url: str, timeout: float) -> str:
        """Connect without asking anything; return by what. QueryError is the only error."""
        parts = urlsplit(url)
        try:
            connection = self._connection(parts, timeout)
            connection.connect()
            version = getattr(connection.sock, "version", lambda: "plain TCP")()
            connection.close()
            return str(version)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise transport_error(error, parts.netloc) from None

    def _connection(self, url: SplitResult, timeout: float) -> http.client.HTTPConnection:
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc, timeout=timeout)
        way = self._proxy(url)
        if way is None:
            return http.client.HTTPSConnection(url.netloc, timeout=timeout, context=self._tls)
        connection = http.client.HTTPSConnection(way.hostname or "", way.port or 80, timeout=timeout, context=self._tls)
        connection.set_tunnel(url.hostname or "", url.port or 443, _proxy_headers(way))
        return connection

    def _proxy(self, url: SplitResult) -> Optional[SplitResult]:
        """Find the proxy for a URL: the instance's own, else the one that the environment or the system names."""
        if url.scheme == "http" or self._instance.skip_proxy:  # plain http is for this machine: it must not leave it
            return None
        import urllib.request as system

        bypass_environment: Any = vars(system)["proxy_bypass_environment"]  # public, but not in the stubs
        given = self._instance.proxy
        if given is None:
            proxy = None if system.proxy_bypass(url.netloc) else system.getproxies().get("https")
            if proxy:
                check_proxy(proxy, "HTTPS_PROXY in the environment")
        else:
            proxy = None if bypass_environment(url.netloc, {"no": ",".join(given.no_proxy)}) else given.https
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _proxy_headers(way: SplitResult) -> Dict[str, str]:
    if way.username is None:
        return {}
    import base64

    pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


# Shared by instances that trust the same: to read the system's certificates for each would take a minute of a thousand.
@functools.lru_cache(maxsize=None)
def _tls(ca: Optional[str], verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=ca if ca and not os.path.isdir(ca) else None, capath=ca if ca and os.path.isdir(ca) else None
        )
    except (OSError, ssl.SSLError):
        raise ConfigError(f"tls_ca_cert: {ca} cannot be read as certificates; name a PEM file") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
