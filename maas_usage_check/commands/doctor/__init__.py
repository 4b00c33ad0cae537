"""The `doctor` command: checks of an instance, stage by stage."""

from __future__ import annotations

from .finding import FAIL, count_problems
from .stages import examine

__all__ = ["FAIL", "count_problems", "examine"]
