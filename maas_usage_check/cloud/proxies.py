"""Which proxy stands between here and a host."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Optional
from urllib.parse import SplitResult, unquote, urlsplit

from ..config import Instance
from ..config.urls import check_proxy


def find_proxy(url: SplitResult, instance: Instance) -> Optional[SplitResult]:
    """Find the proxy for a URL: the instance's own, else the one that the environment or the system names.

    Raise ConfigError where the environment names one that cannot be used.
    """
    if url.scheme == "http" or instance.skip_proxy:  # plain http is for this machine: it must not leave it
        return None
    given = instance.proxy
    if given is None and not _may_be_named():
        return None
    import urllib.request as system

    bypass_environment: Any = vars(system)["proxy_bypass_environment"]  # public, but not in the stubs
    if given is None:
        proxy = None if system.proxy_bypass(url.netloc) else system.getproxies().get("https")
        if proxy:
            check_proxy(proxy, "HTTPS_PROXY in the environment")
    else:
        proxy = None if bypass_environment(url.netloc, {"no": ",".join(given.no_proxy)}) else given.https
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def proxy_headers(proxy: SplitResult) -> Dict[str, str]:
    """Make the headers that a proxy wants of who has a password."""
    if proxy.username is None:
        return {}
    import base64

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _may_be_named() -> bool:
    """Tell whether it is worth importing what looks for one: that takes a tenth of a `collect`."""
    return sys.platform in ("win32", "darwin") or any(name.lower().endswith("_proxy") for name in os.environ)
