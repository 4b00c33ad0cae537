"""Endpoints and proxies."""

from __future__ import annotations

import re
from typing import Any, List, Optional
from urllib.parse import quote

from ..errors import ConfigError

LOOPBACK = r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]"
URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", re.ASCII)
PROXY = r"(?:http://)?(?:[^\s@/]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?"
CUTS_URL = r"[\[\]/#?@\s\0-\x1f\x7f]|%(?![0-9A-Fa-f]{2})"
"""In a user name or a password: URL parsers disagree where such a URL ends, and may take a part of it for the host."""


def parse_endpoint(value: str) -> str:
    """Parse a URL; raise ValueError unless it is https, or http to this machine."""
    url = URL.fullmatch(value)
    if not url:
        raise ValueError("must be a URL of scheme and host, such as https://maas.example")
    if not _is_port(url[3]):
        raise ValueError("the port must be 1 to 65535")
    if url[1] == "http" and not re.fullmatch(LOOPBACK, url[2]):
        raise ValueError("http only to this machine (127.0.0.1, localhost); use https")
    return value.rstrip("/")


def read_proxy(value: Any, path: str) -> Any:
    """Check the `proxy` option; raise ConfigError, which never shows a URL: it may contain a password."""
    if not isinstance(value, dict):  # msgspec refuses it
        return value
    urls = {scheme: value[scheme].strip() for scheme in ("http", "https") if isinstance(value.get(scheme), str)}
    for scheme, url in urls.items():
        if url:
            check_proxy(url, f"{path}.{scheme}")
    hosts = value.get("no_proxy") or []
    hosts = [hosts] if isinstance(hosts, str) else hosts
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ConfigError(f"{path}.no_proxy: must be a list of hosts in quotes")
    return {**value, **urls, "no_proxy": split_hosts(" ".join(hosts))}


def split_hosts(text: str) -> List[str]:
    """Split a list of hosts as an environment variable has it: at commas, semicolons and blanks."""
    return [host for host in re.split(r"[\s,;]+", text) if host]


def check_proxy(url: str, path: str) -> None:
    """Raise ConfigError for a proxy URL that is not supported. Errors never show it."""
    check_userinfo(url, path)
    if url.lower().startswith("https:"):
        raise ConfigError(
            f"{path}: TLS to the proxy itself is not supported; use http:// if its password may travel unencrypted"
        )
    if url.lower().startswith("socks"):
        raise ConfigError(f"{path}: SOCKS proxies are not supported; use an http proxy")
    match = re.fullmatch(PROXY, url, re.IGNORECASE)
    if not (match and _is_port(match[1])):
        raise ConfigError(f"{path}: must be a URL of scheme, host and port, such as http://proxy.example:3128")


def check_userinfo(url: str, path: str) -> None:
    """Raise ConfigError for a character that must be percent-encoded in a proxy's user name or password."""
    found = re.search(CUTS_URL, url.split("://", 1)[-1].rpartition("@")[0])
    if found:
        shown, encoded = f"`{found[0]}`" if found[0] > " " else "a blank", quote(found[0], safe="")
        raise ConfigError(f"{path}: {shown} in the user name or password: write it percent-encoded, as {encoded}")


def _is_port(text: Optional[str]) -> bool:
    return text is None or 0 < int(text[1:]) <= 65_535
