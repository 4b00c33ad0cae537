"""The finding of one stage of `doctor`."""

from __future__ import annotations

from typing import Sequence

from msgspec import Struct

from ...errors import QueryError, Result

OK, WARN, FAIL, SKIP = "ok", "warn", "FAIL", "skip"


class Finding(Struct, frozen=True):
    """Hold the mark of one stage, and its text with the remedy."""

    mark: str
    stage: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<4}  {self.stage:<15}  {self.text}"


def count_problems(marks: Sequence[str]) -> str:
    """Write the last line: the numbers of failed stages and of warnings."""
    failed, warned = marks.count(FAIL), marks.count(WARN)
    warnings = f"{warned} warning{'s' * (warned != 1)}" if warned else ""
    return ", ".join(filter(None, [f"{failed or 'no'} problem{'s' * (failed != 1)}", warnings]))


def mark_error(error: QueryError) -> str:
    """Mark a failed query: SKIP if it was not sent or ended by a 429, which leaves its stage unknown; else FAIL."""
    return SKIP if error.is_consequence or error.result == Result.THROTTLED else FAIL
