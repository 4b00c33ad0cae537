"""Where requests go by the configuration: endpoints, proxies and the authorities to trust."""

from __future__ import annotations

import os
import re
from typing import Optional

import msgspec

from ..errors import ConfigError
from .instance import Proxy

LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]", re.ASCII)
URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", re.ASCII)
PROXY = re.compile(r"(?:http://)?(?:[^\s@/]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", re.IGNORECASE)


def read_endpoint(given: str, default: str, path: str) -> str:
    """Return the URL to ask; raise ConfigError unless it is https, or http to this machine."""
    url = URL.fullmatch(given or default)
    if not url:
        raise ConfigError(f"{path}: must be a URL of scheme and host, such as {default}")
    if not _is_port(url[3]):
        raise ConfigError(f"{path}: the port must be 1 to 65535")
    if url[1] == "http" and not LOOPBACK.fullmatch(url[2]):
        raise ConfigError(f"{path}: http only to this machine (127.0.0.1, localhost); use https")
    return (given or default).rstrip("/")


def read_proxy(given: Proxy, path: str) -> Proxy:
    """Check what a request would stumble over. The URLs are never shown: they may hold a password."""
    for key, url in (("http", given.http), ("https", given.https)):
        if url:
            check_proxy(url, f"{path}.{key}")
    hosts = [given.no_proxy] if isinstance(given.no_proxy, str) else given.no_proxy or []
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, str) for host in hosts):
        raise ConfigError(f"{path}.no_proxy: must be a list of hosts in quotes")
    return msgspec.structs.replace(given, no_proxy=tuple(hosts))


def check_proxy(url: str, path: str) -> None:
    """Raise ConfigError for the URL of a proxy that cannot be used; it is never shown."""
    if url.lower().startswith("https:"):
        raise ConfigError(
            f"{path}: TLS to the proxy itself is not spoken here, so its password would travel in clear; "
            "name it with http:// if it may"
        )
    if url.lower().startswith("socks"):
        raise ConfigError(f"{path}: socks is not spoken here; name an http proxy")
    found = PROXY.fullmatch(url)
    if not (found and _is_port(found[1])):
        raise ConfigError(f"{path}: must be a URL of scheme, host and port, such as http://proxy.example:3128")


def _is_port(text: Optional[str]) -> bool:
    return text is None or 0 < int(text[1:]) <= 65_535


def check_authorities(file: str, path: str) -> None:
    """Raise ConfigError where a file holds no certificates; a folder is taken as it is."""
    import ssl

    if os.path.isdir(file):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError):  # no such file; no certificates in it; no path
        raise ConfigError(f"{path}: {file} cannot be read as certificates; name a PEM file") from None
