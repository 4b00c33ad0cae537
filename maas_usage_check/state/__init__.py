"""What outlives a run: one SQLite file of small entries, and locks that the kernel frees when their holder dies."""

from __future__ import annotations

from .failures import MissingError, UnusableError
from .folder import find_file, writable_by_others
from .store import Store, Warn

__all__ = ["MissingError", "Store", "UnusableError", "Warn", "find_file", "writable_by_others"]
