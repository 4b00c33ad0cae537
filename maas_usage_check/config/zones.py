"""Time zones by name, and the host's own."""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from typing import Optional

from ..errors import ConfigError


def find_zone(name: Optional[str]) -> dt.tzinfo:
    """Find a zone by its IANA name, or the host's when there is no name; raise ConfigError naming `timezone`."""
    try:
        if name is not None:
            if sys.version_info >= (3, 9):
                from zoneinfo import ZoneInfo
            else:
                from backports.zoneinfo import ZoneInfo
            return ZoneInfo(name)
        from tzlocal import get_localzone

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # standard error is for lines of ours: agents read their first letters
            return get_localzone()
    except (KeyError, ValueError, OSError):  # no such zone; no name for a zone; a folder of that name
        what = f"`{name}` is not" if name is not None else "the host's zone (TZ, or /etc/localtime) has not"
        raise ConfigError(f"timezone: {what} an IANA name; write one such as Asia/Shanghai") from None
