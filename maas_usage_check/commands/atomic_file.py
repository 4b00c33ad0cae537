"""Replace a file atomically, for files that are read while they are written."""

from __future__ import annotations

import os


def replace_file(path: str, content: bytes, mode: int) -> None:
    """Replace a file atomically: readers see all of the old content or all of the new. Symlinks are followed."""
    path = os.path.realpath(path)
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        # O_EXCL does not follow a symlink that somebody else created; 0600 until the content is complete.
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
