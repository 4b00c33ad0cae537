"""Paths of files and folders, as people write them."""

from __future__ import annotations

import os
from typing import Optional

from ..errors import ConfigError


def read_path(given: Optional[str], path: str) -> Optional[str]:
    """Return a path with its `~` expanded; raise ConfigError for a text that no file can be named.

    Args:
        given: as written; None stays None.
        path: how errors name the key.
    """
    if given is None:
        return None
    try:
        named = b"\0" not in os.fsencode(given)
    except UnicodeEncodeError:  # half a character
        named = False
    if not named:
        raise ConfigError(f"{path}: holds a character that no path has, such as NUL; write it anew")
    return os.path.expanduser(given)
