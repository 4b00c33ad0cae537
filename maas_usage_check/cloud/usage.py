"""The usage of one window or hour as a value object."""

from __future__ import annotations

from typing import Any, Dict, Optional

from msgspec import Struct


class Usage(Struct, frozen=True):
    """Hold the totals of one window: whole tokens and plain counts.

    The two batch counts are None if the cloud did not send them.
    """

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    errors: int
    completed_batch_tasks: Optional[int] = None
    inferences: Optional[int] = None

    def __add__(self, other: Usage) -> Usage:
        sums: Dict[str, Any] = {
            name: _add(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__
        }
        return Usage(**sums)

    @property
    def error_ratio(self) -> Optional[float]:
        """Divide errors by requests, as the console does; 0 without requests.

        None if errors exceed requests: the cloud has two counters, and one may lag behind the other.
        """
        if self.errors > self.requests:
            return None
        return self.errors / self.requests if self.requests else 0.0


def _add(one: Optional[int], other: Optional[int]) -> Optional[int]:
    return None if one is None and other is None else (one or 0) + (other or 0)
