"""Time zones: by IANA name, or the host's."""

from __future__ import annotations

import datetime as dt
import sys
import warnings

from ..errors import ConfigError


def named_zone(name: str) -> dt.tzinfo:
    """Return the zone of an IANA name; raise ValueError if there is none."""
    if sys.version_info >= (3, 9):
        from zoneinfo import ZoneInfo  # saves 8 million instructions of a `collect` without calendar ranges
    else:
        from backports.zoneinfo import ZoneInfo
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown zone; invalid name; a folder of that name
        raise ValueError(f"`{name}` is not an IANA name; write one such as Asia/Shanghai") from None


def host_zone() -> dt.tzinfo:
    """Return the host's zone; raise ConfigError if it has no IANA name."""
    from tzlocal import get_localzone  # saves 11 million

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # agents parse the first letters of each line on standard error
            return get_localzone()
    except (KeyError, ValueError, OSError):
        problem = "the host's zone (TZ, or /etc/localtime) has no IANA name"
        raise ConfigError(f"timezone: {problem}; write one such as Asia/Shanghai") from None
