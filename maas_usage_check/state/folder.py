"""Where the state is kept: the configured folder, systemd's, the Agent's, the user's, or a private temporary one."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Iterator, Mapping, Optional

from .failures import UnusableError
from .permissions import make_folder

FILE_NAME = "maas-usage-check.sqlite3"


def find_file(configured: Optional[str], environ: Mapping[str, str] = os.environ, agent_folder: str = "") -> str:
    """Name the state's file; raise UnusableError where no folder of this user's can be written.

    Args:
        configured: the key `state_dir`, which is taken as it is.
        environ: names systemd's folder and the user's.
        agent_folder: the Datadog Agent's own folder.
    """
    if configured:
        return os.path.join(configured, FILE_NAME)
    for folder in _candidates(environ, agent_folder):
        try:
            make_folder(folder)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and (folder == agent_folder or _is_private(folder)):
            return os.path.join(folder, FILE_NAME)
    raise UnusableError("no folder for the state can be written", "set state_dir")


def _candidates(environ: Mapping[str, str], agent_folder: str) -> Iterator[str]:
    # With systemd's DynamicUser it is a link.
    yield from [os.path.realpath(folder) for folder in environ.get("STATE_DIRECTORY", "").split(":") if folder][:1]
    if agent_folder:
        yield agent_folder
    base = environ.get("XDG_STATE_HOME") or environ.get("LOCALAPPDATA") or os.path.expanduser("~/.local/state")
    if os.path.isabs(base):
        yield os.path.join(base, "maas-usage-check")
    import tempfile

    with contextlib.suppress(FileNotFoundError):  # nor can a temporary folder be written
        yield os.path.join(tempfile.gettempdir(), f"maas-usage-check-{getattr(os, 'getuid', lambda: 'user')()}")


def _is_private(folder: str) -> bool:
    """Tell whether a folder is this user's own: in a shared /tmp anyone may have made one of that name first."""
    if os.name != "posix":
        return True
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def writable_by_others(folder: str) -> Optional[str]:
    """Say that others can write to a folder, or put another in its place, with the remedy; None where they cannot.

    In a folder with the sticky bit, such as /tmp, each can replace only what is their own.
    """
    if os.name != "posix":
        return None
    folder = os.path.realpath(folder)
    owner: Optional[int] = None
    while True:
        # One that is missing will be made by this user.
        found = os.stat(folder) if os.path.exists(folder) else None
        if found is not None and found.st_mode & 0o022:
            sticky = found.st_mode & stat.S_ISVTX
            if not (sticky and owner in (os.geteuid(), found.st_uid)):
                remedy = "name a folder of mode 0700 in it" if sticky else f"chmod go-w {folder}"
                return f"others can write to {folder}, and so make this forget a refusal: {remedy}"
        owner, above = os.geteuid() if found is None else found.st_uid, os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
