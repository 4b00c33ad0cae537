"""Files and folders that only their owner can read.

Those that root creates get the owner of their folder, so that the agent's user can read and write them too.
"""

from __future__ import annotations

import os


def make_folder(folder: str) -> None:
    """Create a folder and its missing parents, with mode 0700."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    if parent != folder:
        make_folder(parent)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:  # created by another process, or not a folder: using it will fail then
        return
    if _is_root():
        owner = os.stat(parent)
        os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def make_file(path: str) -> int:
    """Open a file for its owner only, creating it if it is missing; return its descriptor.

    Links are not followed.
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
