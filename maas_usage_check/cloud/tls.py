"""Which certificate authorities are trusted."""

from __future__ import annotations

import functools
import os
import re
import ssl
import threading
from typing import Optional, Tuple

from ..errors import ConfigError

HASHED = re.compile("[0-9a-f]{8}[.][0-9]+")
"""OpenSSL finds an authority in a directory by the hash of its name."""
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a certificate whose authority it cannot find: the errors that more authorities can fix."""
Stamps = Tuple[Optional[Tuple[int, ...]], ...]


class Trust:
    """Trust the authorities of a file or directory, or the system's.

    The system's bundle is loaded only for a host that its hashed directory does not verify: parsing the bundle takes
    a quarter of a `collect`. Directory and bundle together are OpenSSL's default.
    """

    def __init__(self, ca: Optional[str], verify: bool) -> None:
        directory = _hashed_directory() if verify and not ca else None
        self.is_directory_only = directory is not None
        self._files = ca_files(ca)
        # Before reading: a file that is replaced while it is read counts as changed.
        self._stamps = file_stamps(self._files)
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
        """Return whether the authorities were replaced on disk since they were read."""
        return file_stamps(self._files) != self._stamps

    def load_system_bundle(self) -> None:
        """Load the system's bundle too, once for all threads that need it at the same time."""
        with self._load_lock:
            if self.is_directory_only:
                self.context.load_default_certs()
                self.is_directory_only = False


def load_trust(ca: Optional[str], verify: bool) -> Trust:
    """Return the trusted authorities, shared between instances; raise ConfigError if `ca` has no certificates.

    Args:
        ca: a PEM file or a hashed directory; None for those of SSL_CERT_FILE and SSL_CERT_DIR, else the system's.
        verify: False accepts every certificate.
    """
    environment = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return _shared(ca, verify, environment, file_stamps(ca_files(ca)))


# Cached: loading the system's certificates for each of a thousand instances would take a minute.
@functools.lru_cache(maxsize=64)
def _shared(ca: Optional[str], verify: bool, environment: Tuple[Optional[str], ...], stamps: Stamps) -> Trust:
    return Trust(ca, verify)


def ca_files(ca: Optional[str]) -> Tuple[str, ...]:
    """List the paths of authorities: a configured file, all files of a configured directory, or the system's two."""
    if ca is None:
        paths = ssl.get_default_verify_paths()
        return paths.cafile or "", paths.capath or ""
    try:
        return (ca, *(os.path.join(ca, name) for name in sorted(os.listdir(ca))))
    except OSError:  # a file
        return (ca,)


def file_stamps(paths: Tuple[str, ...]) -> Stamps:
    """Return device, inode, size and mtime of each file; one of them changes when the file is replaced."""
    return tuple(map(_stat, paths))


def _stat(path: str) -> Optional[Tuple[int, ...]]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _hashed_directory() -> Optional[str]:
    """Find the directory that can replace the bundle; None if the environment names a bundle of its own."""
    paths = ssl.get_default_verify_paths()
    bundle = os.environ.get(paths.openssl_cafile_env)
    if os.name == "nt" or (bundle and os.path.realpath(bundle) != os.path.realpath(paths.openssl_cafile)):
        return None
    try:
        with os.scandir(paths.capath or os.devnull) as entries:
            return paths.capath if any(HASHED.fullmatch(entry.name) for entry in entries) else None
    except OSError:
        return None
