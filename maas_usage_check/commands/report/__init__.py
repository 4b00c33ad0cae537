"""The tables for people, and the same rows for programs."""

from __future__ import annotations

from .command import report

__all__ = ["report"]
