"""What one stage of the diagnosis found."""

from __future__ import annotations

from typing import Sequence

from msgspec import Struct

from ...errors import QueryError, Result

OK, WARN, FAIL, SKIP = "ok", "warn", "FAIL", "skip"


class Finding(Struct, frozen=True):
    """Hold what one stage found."""

    mark: str
    stage: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<4}  {self.stage:<15}  {self.text}"


def counted(marks: Sequence[str]) -> str:
    """Write the last line: how many stages have failed, and of how many is warned."""
    failed, warned = marks.count(FAIL), marks.count(WARN)
    warnings = f"{warned} warning{'s' * (warned != 1)}" if warned else ""
    return ", ".join(filter(None, [f"{failed or 'no'} problem{'s' * (failed != 1)}", warnings]))


def mark_of(error: QueryError) -> str:
    """Mark a failed question: nothing is known of its stage where it was not sent, or ended by a 429."""
    return SKIP if error.is_consequence or error.result == Result.THROTTLED else FAIL
