"""When an instance was last collected, as stored between runs."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from msgspec import Struct

from ..config import Instance

END_OF_TIME = 2.0**32
"""Seconds, in the year 2106."""


class LastSuccess(Struct, omit_defaults=True):
    """When a query of an instance was last answered, in seconds since 1970."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    at: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a time that no metrics store accepts."""
        if not 0 <= self.at < END_OF_TIME:
            raise ValueError("no time")

    def merge(self, unwritten: LastSuccess) -> LastSuccess:
        """Return the later one."""
        return max(self, unwritten, key=lambda success: success.at)


def instance_name(instance: Instance) -> str:
    """Name an instance in the state by the tags of its health."""
    series = "\0".join(f"{key}={value}" for key, value in sorted(instance.api_tags.items()))
    return hashlib.blake2b(series.encode(), digest_size=16).hexdigest()
