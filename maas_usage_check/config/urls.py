"""Endpoints and proxies."""

from __future__ import annotations

import re
from typing import Optional

import msgspec

from ..errors import ConfigError
from .instance import Proxy

LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]", re.ASCII)
URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", re.ASCII)
PROXY = r"(?:http://)?(?:[^\s@/]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?"


def parse_endpoint(value: str, default: str) -> str:
    """Parse a URL, or its default if it is empty; raise ValueError unless it is https, or http to this machine."""
    url = URL.fullmatch(value or default)
    if not url:
        raise ValueError(f"must be a URL of scheme and host, such as {default}")
    if not _is_port(url[3]):
        raise ValueError("the port must be 1 to 65535")
    if url[1] == "http" and not LOOPBACK.fullmatch(url[2]):
        raise ValueError("http only to this machine (127.0.0.1, localhost); use https")
    return (value or default).rstrip("/")


def read_proxy(proxy: Proxy, path: str) -> Proxy:
    """Validate the `proxy` option. Errors never show its URLs: they may contain a password."""
    for scheme, url in (("http", proxy.http), ("https", proxy.https)):
        if url:
            check_proxy(url, f"{path}.{scheme}")
    hosts = [proxy.no_proxy] if isinstance(proxy.no_proxy, str) else proxy.no_proxy or []
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, str) for host in hosts):
        raise ConfigError(f"{path}.no_proxy: must be a list of hosts in quotes")
    return msgspec.structs.replace(proxy, no_proxy=tuple(hosts))


def check_proxy(url: str, path: str) -> None:
    """Raise ConfigError for a proxy URL that is not supported. Errors never show it."""
    if url.lower().startswith("https:"):
        raise ConfigError(
            f"{path}: TLS to the proxy itself is not supported; use http:// if its password may travel unencrypted"
        )
    if url.lower().startswith("socks"):
        raise ConfigError(f"{path}: SOCKS proxies are not supported; use an http proxy")
    match = re.fullmatch(PROXY, url, re.IGNORECASE)
    if not (match and _is_port(match[1])):
        raise ConfigError(f"{path}: must be a URL of scheme, host and port, such as http://proxy.example:3128")


def _is_port(text: Optional[str]) -> bool:
    return text is None or 0 < int(text[1:]) <= 65_535
