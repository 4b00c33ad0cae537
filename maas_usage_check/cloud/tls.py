"""Whose certificates are believed."""

from __future__ import annotations

import functools
import os
import re
import ssl
import threading
from typing import Optional, Tuple

from ..errors import ConfigError

HASHED = re.compile("[0-9a-f]{8}[.][0-9]+")
"""How OpenSSL finds an authority in a directory: by a hash of its name."""
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a certificate whose authority it does not find, and for none that another could mend."""
Stamp = Tuple[Optional[Tuple[int, ...]], ...]


class Trust:
    """Believe the authorities of a file or directory, or the system's.

    The system's bundle is read only for a host that its hashed directory does not vouch for: to parse all of it takes
    a quarter of a `collect`. The directory and the bundle together are what OpenSSL believes by default.
    """

    def __init__(self, ca: Optional[str], verify: bool) -> None:
        directory = _hashed_directory() if verify and not ca else None
        self.is_directory_only = directory is not None
        self._places = ca_files(ca)
        self._stamp = file_stamps(self._places)  # before reading: a file replaced meanwhile counts as changed
        self._load_lock = threading.Lock()
        if ca or verify:
            is_directory = ca is not None and os.path.isdir(ca)
            try:
                self.context = ssl.create_default_context(
                    cafile=None if is_directory else ca, capath=ca if is_directory else directory
                )
            except (OSError, ssl.SSLError):
                raise ConfigError(f"tls_ca_cert: {ca} cannot be read as certificates; name a PEM file") from None
        else:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not verify:
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE

    @property
    def is_outdated(self) -> bool:
        """Tell whether the authorities were replaced since they were read."""
        return file_stamps(self._places) != self._stamp

    def load_system_bundle(self) -> None:
        """Read the system's bundle too, once for all who find at the same time that they need it."""
        with self._load_lock:
            if self.is_directory_only:
                self.context.load_default_certs()
                self.is_directory_only = False


def trust(ca: Optional[str], verify: bool) -> Trust:
    """Find whom to believe; raise ConfigError where `ca` holds no certificates.

    Args:
        ca: a PEM file or a hashed directory; None for the system's authorities, or those that SSL_CERT_FILE and
            SSL_CERT_DIR name.
        verify: False believes everybody.
    """
    environment = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return _shared(ca, verify, environment, file_stamps(ca_files(ca)))


# Shared by instances that trust the same: to read the system's certificates for each would take a minute of a thousand.
@functools.lru_cache(maxsize=64)
def _shared(ca: Optional[str], verify: bool, environment: Tuple[Optional[str], ...], stamp: Stamp) -> Trust:
    return Trust(ca, verify)


def ca_files(ca: Optional[str]) -> Tuple[str, ...]:
    """Name where authorities are read: a configured file or all files of a directory, or the system's own two."""
    if ca is None:
        found = ssl.get_default_verify_paths()
        return found.cafile or "", found.capath or ""
    try:
        return (ca, *(os.path.join(ca, name) for name in sorted(os.listdir(ca))))
    except OSError:  # a file
        return (ca,)


def file_stamps(places: Tuple[str, ...]) -> Stamp:
    """Return the identity, size and time of each file: one of them changes when a file is replaced."""
    return tuple(map(_stat, places))


def _stat(path: str) -> Optional[Tuple[int, ...]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _hashed_directory() -> Optional[str]:
    """Find the directory that can stand in for the bundle; none where the environment names a bundle of its own."""
    paths = ssl.get_default_verify_paths()
    named = os.environ.get(paths.openssl_cafile_env)
    if os.name == "nt" or (named and os.path.realpath(named) != os.path.realpath(paths.openssl_cafile)):
        return None
    try:
        with os.scandir(paths.capath or os.devnull) as entries:
            return paths.capath if any(HASHED.fullmatch(entry.name) for entry in entries) else None
    except OSError:
        return None
