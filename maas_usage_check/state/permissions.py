"""What root writes belongs to whom its folder belongs: the agent's user must be able to read and write it too."""

from __future__ import annotations

import os


def make_folder(folder: str) -> None:
    """Make a folder and those above it that are missing, of mode 0700."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    if above != folder:
        make_folder(above)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:  # another process was faster, or it is no folder, which is found out when it is used
        return
    if _is_root():
        owner = os.stat(above)
        os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def make_file(path: str) -> int:
    """Open a file that only its owner may read, made where it is missing; return its descriptor.

    No link is followed.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    if _is_root():
        owner = os.stat(os.path.dirname(path))
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _is_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0
