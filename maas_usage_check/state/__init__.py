"""One SQLite file that outlives a run, and file locks that the kernel frees when their process dies.

Offers `Store`: small entries, transactions on all tables, locks. It must not know what the rows mean.
"""

from __future__ import annotations

from .failures import MissingError, UnusableError
from .folder import find_file, writable_by_others
from .store import Store, Warn
from .transaction import Transaction

__all__ = ["MissingError", "Store", "Transaction", "UnusableError", "Warn", "find_file", "writable_by_others"]
