"""What outlives a run: one SQLite file of small entries, and locks that the kernel frees when their holder dies."""

from __future__ import annotations

from .folder import find_file, writable_by_others
from .store import Store, Warn

__all__ = ["Store", "Warn", "find_file", "writable_by_others"]
