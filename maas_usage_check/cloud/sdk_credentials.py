"""The SDK's own sources of credentials, in its own order: OIDC, environment, profile file, ECS agency, pod identity."""

from __future__ import annotations

import logging
import warnings
from typing import Any, List, Optional, Tuple

from ..errors import QueryError, Result

logging.getLogger("huaweicloudsdkcore").addHandler(logging.NullHandler())


class SdkProvider:
    """Ask the SDK's sources for a key, and let the one that answered refresh it.

    The SDK's chain is walked here, not by its own class, because that one ends at the first source that raises an
    error of the HTTP library: off an ECS it would never reach pod identity.
    """

    def __init__(self) -> None:
        self._credentials: Optional[Any] = None

    def __call__(self) -> Tuple[str, str, Optional[str]]:
        """Return access key, secret key and token that are good for this cycle; raise QueryError (NO_CREDENTIALS)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = self._refreshed() or self._found()
        return held.ak, held.sk, held.security_token

    def _refreshed(self) -> Optional[Any]:
        """Renew the key held, where its source can (40 minutes before it ends). Static keys are read anew instead."""
        # Older SDKs know no accessor: there an agency's key is read anew as well.
        if getattr(self._credentials, "sts_accessor", None) is None:
            return None
        try:
            _renew(self._credentials)
        except Exception:  # the SDK raises its own errors, requests' and ValueError; all mean: ask the sources again
            return None
        return self._credentials

    def _found(self) -> Any:
        refusals = []
        for source in _sources():
            name = type(source).__name__.replace("CredentialProvider", "")
            try:
                credentials = source.get_credentials()
                _renew(credentials)
            except Exception as error:  # as above; its text may quote an answer that holds a token, so only its kind
                refusals.append(f"{name}: {type(error).__name__}")
                continue
            if credentials.ak and credentials.sk:
                self._credentials = credentials
                return credentials
        raise QueryError(
            Result.NO_CREDENTIALS,
            f"none of the SDK's sources gave a key ({', '.join(refusals)}): set HUAWEICLOUD_SDK_AK and _SK, write "
            "~/.huaweicloud/credentials, or give the host an agency",
        )


def _sources() -> List[Any]:
    from huaweicloudsdkcore.auth import provider

    found = []
    for name in ("OidcSts", "Env", "Profile", "Metadata", "PodIdentity"):
        source = getattr(provider, f"{name}CredentialProvider", None)
        if source is not None:  # older SDKs lack some, and name the maker of the others after each
            make = getattr(source, "get_basic", None)
            found.append(make() if make else getattr(source, f"get_basic_credential_{name.lower()}_provider")())
    return found


def _renew(credentials: Any) -> None:
    if hasattr(credentials, "process_sts"):
        credentials.process_sts(_http_client())


def _http_client() -> Any:
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
    from huaweicloudsdkcore.http.http_client import HttpClient
    from huaweicloudsdkcore.http.http_config import HttpConfig

    config = HttpConfig.get_default_config()
    config.timeout = (5, 5)  # the SDK's own are 60 and 120 seconds, longer than any cycle
    return HttpClient(config, None, DefaultExceptionHandler(), logging.getLogger("huaweicloudsdkcore"))
