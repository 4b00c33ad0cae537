"""TLS of the exporter: the certificate, its private key and the client CA, read again when one of the files changes."""

from __future__ import annotations

import ssl
from typing import Callable, Optional, Tuple

from ...cloud.connection import Stamp, file_stamp
from ...errors import ConfigError


class TlsFiles:
    """The TLS context of the files that the options name; see tls_context.

    Args:
        cert: the certificate, with its chain.
        private_key: the private key of `cert`.
        client_ca: the CA that must have signed the certificate of each client.
        log: logs one line that starts with its level.

    Raises:
        ConfigError: an option is missing or a file is wrong.
    """

    def __init__(
        self, cert: Optional[str], private_key: Optional[str], client_ca: Optional[str], log: Callable[[str], None]
    ) -> None:
        self._paths = cert, private_key, client_ca
        self._log = log
        self._logged = ""
        self.reload()

    def reload(self) -> None:
        """Read the files; raise ConfigError, and keep the context in use, if one is wrong."""
        self._stamps = self._stat()  # before they are read: a change meanwhile is noticed at the next connection
        self._context = tls_context(*self._paths)
        self._logged = ""

    def context(self) -> Optional[ssl.SSLContext]:
        """Return the context of the files as they are now; None for plain HTTP.

        While they are wrong, such as a new certificate with the old private key, the previous context stays in use.
        """
        if self._stat() != self._stamps:
            try:
                self.reload()
                self._log("I! --tls-cert: changed files loaded")
            except ConfigError as error:
                if str(error) != self._logged:
                    self._logged = str(error)
                    self._log(f"W! {error}; the previous certificate stays in use")
        return self._context

    def _stat(self) -> Tuple[Stamp, ...]:
        return tuple(map(file_stamp, self._paths))


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
