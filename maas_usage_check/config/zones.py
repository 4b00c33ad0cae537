"""Time zones: by IANA name, or the host's."""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from typing import Optional

from ..errors import ConfigError


def find_zone(name: Optional[str]) -> dt.tzinfo:
    """Return the zone of an IANA name, or the host's for None; raise ConfigError if there is none."""
    # Imported here: saves 8 and 11 million instructions of a `collect` without calendar ranges.
    try:
        if name is not None:
            if sys.version_info >= (3, 9):
                from zoneinfo import ZoneInfo
            else:
                from backports.zoneinfo import ZoneInfo
            return ZoneInfo(name)
        from tzlocal import get_localzone

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # agents parse the first letters of each line on standard error
            return get_localzone()
    except (KeyError, ValueError, OSError):  # unknown zone; invalid name; a folder of that name
        problem = f"`{name}` is not an" if name is not None else "the host's zone (TZ, or /etc/localtime) has no"
        raise ConfigError(f"timezone: {problem} IANA name; write one such as Asia/Shanghai") from None
