"""What one stage of the diagnosis found."""

from __future__ import annotations

from msgspec import Struct

OK, WARN, FAIL, SKIP = "ok", "warn", "FAIL", "skip"


class Finding(Struct, frozen=True):
    """Hold what one stage found."""

    mark: str
    stage: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<4}  {self.stage:<15}  {self.text}"
