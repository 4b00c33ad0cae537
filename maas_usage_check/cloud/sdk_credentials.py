"""The SDK's own credential sources, in its order: OIDC, environment, profile file, ECS agency, pod identity."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any, List, Optional, Tuple

from ..errors import QueryError, Result

logging.getLogger("huaweicloudsdkcore").addHandler(logging.NullHandler())

LINK_LOCAL = "169.254.0.0/16"


class SdkProvider:
    """Fetch a key from the first SDK source that has one, and let that source refresh it.

    The SDK's own chain class is not used: it stops at the first source that raises an error of the HTTP library, so
    off an ECS it would never reach pod identity.
    """

    def __init__(self) -> None:
        self._credentials: Optional[Any] = None

    def __call__(self) -> Tuple[str, str, Optional[str]]:
        """Return access key, secret key and token, valid for this cycle; raise QueryError (NO_CREDENTIALS)."""
        _bypass_proxies()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            credentials = self._refresh() or self._fetch()
        return credentials.ak, credentials.sk, credentials.security_token

    def _refresh(self) -> Optional[Any]:
        """Renew the current key if its source can (40 minutes before it expires); None if it must be fetched again."""
        # Static keys have no accessor, nor has any key of an older SDK: those are fetched again.
        if getattr(self._credentials, "sts_accessor", None) is None:
            return None
        try:
            _renew(self._credentials)
        except Exception:  # the SDK raises its own errors, requests' and ValueError; all mean: fetch again
            return None
        return self._credentials

    def _fetch(self) -> Any:
        failures = []
        for source in _sources():
            name = type(source).__name__.replace("CredentialProvider", "")
            try:
                credentials = source.get_credentials()
                _renew(credentials)
            except Exception as error:  # as above; the text may quote a token, so only the class is shown
                failures.append(f"{name}: {type(error).__name__}")
                continue
            if credentials.ak and credentials.sk:
                self._credentials = credentials
                return credentials
        raise QueryError(
            Result.NO_CREDENTIALS,
            f"no SDK source returned a key ({', '.join(failures)}): set HUAWEICLOUD_SDK_AK and _SK, write "
            "~/.huaweicloud/credentials, or give the host an agency",
        )


def _bypass_proxies() -> None:
    """Keep requests to link-local addresses away from proxies.

    A proxy would forward them to the metadata service of its own host, which answers with that host's key. For these
    requests the SDK takes proxies from the environment only.
    """
    hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if hosts != "*" and LINK_LOCAL not in hosts.split(","):
        os.environ["no_proxy"] = f"{hosts},{LINK_LOCAL}".lstrip(",")


def _sources() -> List[Any]:
    from huaweicloudsdkcore.auth import provider  # saves 270 million instructions, half of a `collect`

    sources = []
    for name in ("OidcSts", "Env", "Profile", "Metadata", "PodIdentity"):
        source = getattr(provider, f"{name}CredentialProvider", None)
        if source is not None:  # older SDKs lack some, and name the factory of each after its source
            make = getattr(source, "get_basic", None)
            sources.append(make() if make else getattr(source, f"get_basic_credential_{name.lower()}_provider")())
    return sources


def _renew(credentials: Any) -> None:
    if hasattr(credentials, "process_sts"):
        credentials.process_sts(_http_client())


def _http_client() -> Any:
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
    from huaweicloudsdkcore.http.http_client import HttpClient
    from huaweicloudsdkcore.http.http_config import HttpConfig

    config = HttpConfig.get_default_config()
    config.timeout = (5, 5)  # the SDK's defaults, 60 and 120 seconds, are longer than any cycle
    return HttpClient(config, None, DefaultExceptionHandler(), logging.getLogger("huaweicloudsdkcore"))
