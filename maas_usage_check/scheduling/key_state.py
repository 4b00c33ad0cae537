"""What is remembered of one key, for all runs and processes that use it."""

from __future__ import annotations

from typing import ClassVar, Dict, Optional

from msgspec import Struct, field
from msgspec.structs import replace


class KeyEntry(Struct, omit_defaults=True):
    """Hold what is remembered of one key; times are seconds since 1970.

    `cause` is the Result of the last refusal and `why` its text; `clock_off` is by how many seconds this machine's
    clock was ahead then, and `clock_zero` the wall clock's time when the monotonic one was 0, which moves when the
    clock is set; `throttled` holds until when each API is left alone; `sent` counts requests by whole second, `spare`
    those of them that could wait; `left_out` holds when a question found no room; `lone_until` is when the lone
    request under way must be over; `proven_by` names the process that last proved the key, at `proven_at`.
    """

    max_age_s: ClassVar[float] = 7 * 86_400.0  # temporary keys come and go

    refusals: int = 0
    not_before: float = 0.0
    cause: int = 0
    why: str = ""
    clock_off: Optional[float] = None
    clock_zero: float = 0.0
    throttled: Dict[str, float] = field(default_factory=dict)
    sent: Dict[int, int] = field(default_factory=dict)
    spare: Dict[int, int] = field(default_factory=dict)
    left_out: Dict[str, float] = field(default_factory=dict)
    lone_until: float = 0.0
    proven_by: str = ""
    proven_at: float = 0.0
    projects: Dict[str, str] = field(default_factory=dict)

    def merge(self, unwritten: KeyEntry) -> KeyEntry:
        """Take the newer entry, but of waits and counts whichever is the more careful."""
        waiting = max(self, unwritten, key=lambda entry: entry.not_before)
        return replace(
            unwritten,
            refusals=waiting.refusals,
            not_before=waiting.not_before,
            cause=waiting.cause,
            why=waiting.why,
            clock_off=waiting.clock_off,
            clock_zero=waiting.clock_zero,
            throttled=_larger(self.throttled, unwritten.throttled),
            sent=_larger(self.sent, unwritten.sent),
            projects={**self.projects, **unwritten.projects},
        )


def _larger(one: Dict, other: Dict) -> Dict:  # type: ignore[type-arg] # of any key, and of int or float
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}


class Salt(Struct, omit_defaults=True):
    """Keep the random salt of the digests under which keys are remembered."""

    max_age_s: ClassVar[float] = float("inf")

    value: str = ""

    def merge(self, unwritten: Salt) -> Salt:
        """Take the file's: other processes use it already."""
        return self if self.value else unwritten
