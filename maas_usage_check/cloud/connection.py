"""How a connection to a host is opened: to any of its addresses, through a proxy, and with which authorities."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import os
import socket
import ssl
from typing import Dict, List, Optional, Tuple
from urllib.parse import SplitResult, unquote

from ..errors import ConfigError
from .transport import TUNNEL_FAILED, proxy_refusal, remaining

Connection = http.client.HTTPConnection
Stamp = Optional[Tuple[int, ...]]
MAX_INTERIM_RESPONSES = 16
TCP_OPTIONS = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Set where the system has them. NAT gateways drop idle connections silently, and each would cost a timeout."""


class FinalResponse(http.client.HTTPResponse):
    """Read over the interim responses (1xx) that may come before the one that counts."""

    def begin(self) -> None:
        """Read status and headers."""
        for _ in range(MAX_INTERIM_RESPONSES):
            super().begin()
            if self.status >= 200 or self.status == http.client.SWITCHING_PROTOCOLS:
                return
            self.headers = self.msg = None  # type: ignore[assignment] # else `begin` reads nothing more
        raise http.client.HTTPException("too many interim responses")


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
    connection.response_class = FinalResponse
    connection.sock, connection.auto_open = sock, 0  # by itself it would open another one, without TLS
    return connection


def _connect_to_any(host: str, port: int, deadline: float) -> socket.socket:
    """Try each address of a host for its share of the remaining time."""
    *others, last = _addresses(host, port)
    for untried, address in zip(range(len(others) + 1, 1, -1), others):
        with contextlib.suppress(OSError):
            return socket.create_connection(address, remaining(deadline) / untried)
    return socket.create_connection(last, remaining(deadline))


def try_addresses(host: str, port: int, deadline: float) -> Dict[str, str]:
    """Connect to every address of a host in turn; return the reason of each that fails, empty for one that connects."""
    addresses, reasons = _addresses(host, port), {}
    for untried, address in zip(range(len(addresses), 0, -1), addresses):
        try:
            socket.create_connection(address, remaining(deadline) / untried).close()
            reasons[address[0]] = ""
        except OSError as error:
            reasons[address[0]] = error.strerror or "no answer"
    return reasons


def _addresses(host: str, port: int) -> List[Tuple[str, int]]:
    """Resolve a host: IPv6 and IPv4 in turn, as in RFC 8305."""
    families: Dict[int, List[Tuple[str, int]]] = {}
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        families.setdefault(family, []).append((str(address[0]), int(address[1])))
    return [address for turn in itertools.zip_longest(*families.values()) for address in turn if address]


def _open_tunnel(sock: socket.socket, url: SplitResult, proxy: SplitResult) -> None:
    host = url.netloc if url.port else f"{url.netloc}:443"
    head = f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"
    if proxy.username is not None:
        userpass = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(userpass.encode()).decode()}\r\n"
    sock.sendall(f"{head}\r\n".encode())
    with FinalResponse(sock, method="CONNECT") as response:
        response.begin()
    if response.status == 407:
        raise proxy_refusal(proxy)
    if response.status != 200:
        raise OSError(f"{TUNNEL_FAILED} {response.status}")


def host_and_port(url: SplitResult) -> Tuple[str, int]:
    """Return the host of a URL, and its port or the scheme's."""
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def file_stamp(path: Optional[str]) -> Stamp:
    """Return a value that differs once the file has changed, or a link on the way to it; None if there is no file."""
    try:
        found = os.stat(path) if path else None
    except (OSError, ValueError):
        return None
    return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


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
            if any(map(_is_hashed, os.listdir(system.capath or os.devnull))):
                return system.capath
    return None


def _is_hashed(name: str) -> bool:
    """Return whether a file has a name by which OpenSSL finds an authority: a hash of 8 digits, a dot, a number."""
    return name[8:9] == "." and name[:8].isalnum() and name[9:].isdigit()
