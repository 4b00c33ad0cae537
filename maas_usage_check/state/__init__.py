"""One SQLite file that outlives a run, and file locks that the kernel frees when their process dies.

Offers `Store`: entries, transactions on the tables of other rooms, locks. It must not know what is stored.
"""

from __future__ import annotations

from .digest import digest
from .failures import MissingError, UnusableError
from .folder import find_file, writable_by_others
from .store import Store, Warn

__all__ = ["MissingError", "Store", "UnusableError", "Warn", "digest", "find_file", "writable_by_others"]
