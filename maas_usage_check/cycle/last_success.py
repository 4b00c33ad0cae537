"""What an instance remembers from cycle to cycle, and over runs."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from msgspec import Struct

from ..config import Instance


class LastSuccess(Struct, omit_defaults=True):
    """Remember when a query was last answered, in seconds since 1970, and whose account was asked with which key."""

    kept_for: ClassVar[float] = 40 * 86_400.0

    at: float = 0.0
    project_id: str = ""
    key: str = ""

    def joined(self, kept: LastSuccess) -> LastSuccess:
        """Take the later one."""
        return max(self, kept, key=lambda success: success.at)

    def note(self, newer: LastSuccess) -> None:
        """Take over what is known better."""
        self.at = newer.at or self.at
        self.project_id = newer.project_id or self.project_id
        self.key = newer.key or self.key


def digest(instance: Instance) -> str:
    """Name an instance in the store by what its series are named after."""
    series = "\0".join(f"{key}={value}" for key, value in sorted(instance.api_tags.items()))
    return hashlib.blake2b(series.encode(), digest_size=16).hexdigest()
