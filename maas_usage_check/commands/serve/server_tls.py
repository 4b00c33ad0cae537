"""The exporter's certificate, and whose certificates it takes."""

from __future__ import annotations

import ssl
from typing import Optional

from ...errors import ConfigError


def tls_context(cert: Optional[str], key: Optional[str], client_ca: Optional[str]) -> Optional[ssl.SSLContext]:
    """Read what the options name; None where they name nothing. Raise ConfigError, which names the option.

    Args:
        cert: the certificate, with its chain.
        key: its private key.
        client_ca: who must have signed the certificate that each client shows.
    """
    if not cert or not key:
        for option, value in (("--tls-cert", cert), ("--tls-key", key), ("--tls-client-ca", client_ca)):
            if value is not None:
                raise ConfigError(f"{option}: means nothing without both --tls-cert and --tls-key; give those too")
        return None
    for option, path in (("--tls-cert", cert), ("--tls-key", key), ("--tls-client-ca", client_ca)):
        if path is not None:
            _check(option, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password="")  # without one it would ask on the terminal
    except (OSError, ValueError) as error:
        what = f"{cert} and {key} are no certificate and its private key, without a password, as PEM"
        raise ConfigError(f"--tls-cert, --tls-key: {what} ({_why(error)})") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--tls-client-ca: {client_ca} holds no certificate as PEM ({_why(error)})") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check(option: str, path: str) -> None:
    """Name the file that cannot be read: ssl does not say which."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(f"{option}: {path} cannot be read ({why}); check the path and who may read it") from None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
