"""The folder of the state: the configured one, systemd's, the Agent's, the user's, or a private temporary one."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Iterator, Mapping, Optional

from .failures import UnusableError
from .permissions import make_folder

FILE_NAME = "maas-usage-check.sqlite3"


def find_file(configured: Optional[str], environ: Mapping[str, str] = os.environ, agent_folder: str = "") -> str:
    """Return the path of the state file; raise UnusableError if there is no private folder that can be written.

    Args:
        configured: `state_dir`, used unchecked.
        environ: names the folders of systemd and of the user.
        agent_folder: the Datadog Agent's `run_path`.
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
    raise UnusableError("no writable folder for the state", "set state_dir")


def _candidates(environ: Mapping[str, str], agent_folder: str) -> Iterator[str]:
    # Under systemd's DynamicUser, STATE_DIRECTORY is a link.
    yield from [os.path.realpath(folder) for folder in environ.get("STATE_DIRECTORY", "").split(":") if folder][:1]
    if agent_folder:
        yield agent_folder
    base = environ.get("XDG_STATE_HOME") or environ.get("LOCALAPPDATA") or os.path.expanduser("~/.local/state")
    if os.path.isabs(base):
        yield os.path.join(base, "maas-usage-check")
    import tempfile  # saves 9 million instructions, 2 % of a `collect`

    with contextlib.suppress(FileNotFoundError):  # no temporary folder can be written either
        yield os.path.join(tempfile.gettempdir(), f"maas-usage-check-{getattr(os, 'getuid', lambda: 'user')()}")


def _is_private(folder: str) -> bool:
    """Return whether only this user can write to a folder: in /tmp anyone may have created one of that name first."""
    if os.name != "posix":
        return True
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def writable_by_others(folder: str) -> Optional[str]:
    """Return a warning with its remedy if others can write to a folder or replace it; None if they cannot.

    In a folder with the sticky bit, such as /tmp, users can replace only their own files.
    """
    if os.name != "posix":
        return None
    folder = os.path.realpath(folder)
    owner: Optional[int] = None
    while True:
        # This user will create a missing one.
        found = os.stat(folder) if os.path.exists(folder) else None
        if found is not None and found.st_mode & 0o022:
            sticky = found.st_mode & stat.S_ISVTX
            if not (sticky and owner in (os.geteuid(), found.st_uid)):
                remedy = "name a folder of mode 0700 in it" if sticky else f"chmod go-w {folder}"
                return f"others can write to {folder}, and could delete the waits after a refusal: {remedy}"
        owner, parent = os.geteuid() if found is None else found.st_uid, os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
