"""The `report` command: usage as tables for people, and the same rows as CSV or JSON for programs."""

from __future__ import annotations

from .report_command import report

__all__ = ["report"]
