"""A file that others read while it is written: replaced in one step."""

from __future__ import annotations

import os


def replace(path: str, content: bytes, mode: int) -> None:
    """Write a file in one step: whoever reads it finds the old content or the new, whole. A link is followed."""
    path = os.path.realpath(path)
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        # Exclusive, so that nobody's link is followed; closed to others until it has its mode.
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
