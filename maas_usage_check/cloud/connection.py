"""How a connection to a host is opened: through its proxy, to any of its addresses, and with which authorities."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import os
import re
import socket
import ssl
import sys
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..config import Instance
from ..config.urls import check_proxy
from ..errors import ConfigError
from .transport import remaining

Connection = http.client.HTTPConnection
TCP_OPTIONS = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Set where the system has them. NAT gateways drop idle connections silently, and each would cost a timeout."""
HASHED = re.compile("[0-9a-f]{8}[.][0-9]+")
"""OpenSSL finds an authority in a directory by the hash of its name."""


def open_connection(
    url: SplitResult, proxy: Optional[SplitResult], context: Optional[ssl.SSLContext], deadline: float
) -> Connection:
    """Connect to the host of a URL, through its proxy if there is one, and with TLS if there is a context."""
    sock = _connect_to_any(*host_and_port(proxy or url), deadline)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in TCP_OPTIONS.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if proxy is not None:
            sock.settimeout(remaining(deadline))
            _open_tunnel(sock, url, proxy)
        if context is not None:
            sock.settimeout(remaining(deadline))
            sock = context.wrap_socket(sock, server_hostname=url.hostname)
    except BaseException:
        sock.close()
        raise
    connection = Connection(url.netloc)
    connection.sock, connection.auto_open = sock, 0  # by itself it would open another one, without TLS
    return connection


def _connect_to_any(host: str, port: int, deadline: float) -> socket.socket:
    """Try each address of a host for its share of the remaining time, IPv6 and IPv4 in turn, as in RFC 8305."""
    families: Dict[int, List[Any]] = {}
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        families.setdefault(family, []).append(address[:2])
    *others, last = [address for turn in itertools.zip_longest(*families.values()) for address in turn if address]
    for untried, address in zip(range(len(others) + 1, 1, -1), others):
        with contextlib.suppress(OSError):
            return socket.create_connection(address, remaining(deadline) / untried)
    return socket.create_connection(last, remaining(deadline))


def _open_tunnel(sock: socket.socket, url: SplitResult, proxy: SplitResult) -> None:
    host = url.netloc if url.port else f"{url.netloc}:443"
    head = f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"
    if proxy.username is not None:
        userpass = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(userpass.encode()).decode()}\r\n"
    sock.sendall(f"{head}\r\n".encode())
    with http.client.HTTPResponse(sock, method="CONNECT") as response:
        response.begin()
    if response.status != 200:
        raise OSError(f"Tunnel connection failed: {response.status}")


def host_and_port(url: SplitResult) -> Tuple[str, int]:
    """Return the host of a URL, and its port or the scheme's."""
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def find_proxy(url: SplitResult, instance: Instance) -> Optional[SplitResult]:
    """Return the proxy for a URL: the instance's own, else the environment's or the system's.

    Raise ConfigError if the environment names an invalid proxy.
    """
    configured = instance.proxy
    if url.scheme == "http" or instance.skip_proxy:  # plain http is for loopback: it must not leave the machine
        return None
    is_in_environment = any(name.lower().endswith("_proxy") for name in os.environ)
    if configured is None and not is_in_environment and sys.platform not in ("win32", "darwin"):
        return None
    import urllib.request as system  # saves 17 million instructions, 3 % of a `collect`

    if configured is not None:
        bypass: Any = vars(system)["proxy_bypass_environment"]  # public, but not in the stubs
        proxy = None if bypass(url.netloc, {"no": ",".join(configured.no_proxy)}) else configured.https
    else:
        proxy = None if system.proxy_bypass(url.netloc) else system.getproxies().get("https")
        if proxy:
            check_proxy(proxy, "HTTPS_PROXY in the environment")
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def load_authorities(ca: Optional[str], verify: bool, with_bundle: bool) -> ssl.SSLContext:
    """Return a TLS context that trusts the authorities of a configuration; raise ConfigError if `ca` has none.

    Args:
        ca: a PEM file or a hashed directory; None for those of SSL_CERT_FILE and SSL_CERT_DIR, else the system's.
        verify: False accepts every certificate.
        with_bundle: read the system's bundle too if there is a hashed directory: it takes a quarter of a `collect`.
    """
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    directory = ca if ca and os.path.isdir(ca) else None if ca or with_bundle else _hashed_directory()
    try:
        return ssl.create_default_context(cafile=None if directory else ca, capath=directory)
    except OSError:
        raise ConfigError(f"tls_ca_cert: {ca} cannot be read as certificates; name a PEM file") from None


def _hashed_directory() -> Optional[str]:
    """Find the directory that can replace the bundle; None if the environment names a bundle of its own."""
    system = ssl.get_default_verify_paths()
    bundle = os.environ.get(system.openssl_cafile_env) or system.openssl_cafile
    if os.path.realpath(bundle) == os.path.realpath(system.openssl_cafile):
        with contextlib.suppress(OSError):
            if any(map(HASHED.fullmatch, os.listdir(system.capath or os.devnull))):
                return system.capath
    return None
