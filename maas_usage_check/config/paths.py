"""Paths of files and folders."""

from __future__ import annotations

import os
from typing import Optional

from ..errors import ConfigError


def read_path(value: Optional[str], path: str) -> Optional[str]:
    """Expand `~` in a path; raise ConfigError for a text that cannot be a path.

    Args:
        value: the path as configured; None stays None.
        path: the path of the config key, for errors.
    """
    if value is None:
        return None
    try:
        is_valid = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # a lone surrogate
        is_valid = False
    if not is_valid:
        raise ConfigError(f"{path}: contains a character that is not allowed in a path, such as NUL; remove it")
    return os.path.expanduser(value)
