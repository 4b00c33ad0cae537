"""TLS of the exporter: its certificate, and the CA of its clients."""

from __future__ import annotations

import ssl
from typing import Optional

from ...errors import ConfigError


def tls_context(cert: Optional[str], private_key: Optional[str], client_ca: Optional[str]) -> Optional[ssl.SSLContext]:
    """Build the TLS context from the paths that the options name; None without options.

    Args:
        cert: the certificate, with its chain.
        private_key: the private key of `cert`.
        client_ca: the CA that must have signed the certificate of each client.

    Raises:
        ConfigError: an option is missing or a file is wrong; the text names the option.
    """
    if not cert or not private_key:
        for option, value in (("--tls-cert", cert), ("--tls-key", private_key), ("--tls-client-ca", client_ca)):
            if value is not None:
                raise ConfigError(f"{option}: needs both --tls-cert and --tls-key; add them")
        return None
    for option, path in (("--tls-cert", cert), ("--tls-key", private_key), ("--tls-client-ca", client_ca)):
        if path is not None:
            _check_readable(option, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            cert, private_key, password=""
        )  # without a password OpenSSL would prompt on the terminal
    except (OSError, ValueError) as error:
        wrong = f"{cert} and {private_key} must be a certificate and its private key, as PEM and without a password"
        raise ConfigError(f"--tls-cert, --tls-key: {wrong} ({_reason(error)})") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--tls-client-ca: {client_ca} must contain certificates as PEM ({_reason(error)})"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_readable(option: str, path: str) -> None:
    """Raise ConfigError with the path of an unreadable file, which errors of ssl do not name."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(f"{option}: {path} cannot be read ({reason}); check the path and who may read it") from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
