"""What an instance remembers from cycle to cycle, and over runs."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from msgspec import Struct

from ..config import Instance

END_OF_TIME = 2.0**32
"""Seconds, in the year 2106."""


class LastSuccess(Struct, omit_defaults=True):
    """Remember when a query of an instance was last answered, in seconds since 1970."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    at: float = 0.0

    def __post_init__(self) -> None:
        """Reject a time that no metrics store accepts; raise ValueError."""
        if not 0 <= self.at < END_OF_TIME:
            raise ValueError("no time")

    def merge(self, unwritten: LastSuccess) -> LastSuccess:
        """Take the later one."""
        return max(self, unwritten, key=lambda success: success.at)


def digest(instance: Instance) -> str:
    """Name an instance in the store by what its series are named after."""
    series = "\0".join(f"{key}={value}" for key, value in sorted(instance.api_tags.items()))
    return hashlib.blake2b(series.encode(), digest_size=16).hexdigest()
