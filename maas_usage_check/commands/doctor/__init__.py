"""The diagnosis, stage by stage."""

from __future__ import annotations

from .finding import FAIL, counted
from .stages import examine

__all__ = ["FAIL", "counted", "examine"]
