"""Who asks alone: before a key is proven, one request at a time, among all processes that use it.

The kernel frees the lock of a process that died; the entry says until when a process that only hangs is waited for.
"""

from __future__ import annotations

from ..state import Store
from .circuit_breaker import LONGEST_WAIT
from .key_state import KeyEntry

PROOF_HOLDS = 60.0
"""Seconds for which a key that another process proved right needs no lone request here."""


def is_proven(entry: KeyEntry, me: str, now: float) -> bool:
    """Tell whether another process proved the key right within the last minute."""
    return entry.proven_by not in ("", me) and now - PROOF_HOLDS < entry.proven_at <= now


def claim(store: Store, name: str, entry: KeyEntry, until: float, now: float) -> bool:
    """Try to be the one who asks alone, until a time (seconds since 1970) at most."""
    # A claim from beyond the longest wait was made under a clock that has been set back since.
    overdue = not now < entry.lone_until <= now + LONGEST_WAIT
    if store.acquire(name) or overdue:
        entry.lone_until = min(until, now + LONGEST_WAIT)
        return True
    return False


def release(store: Store, name: str, entry: KeyEntry) -> None:
    """Let the next one ask."""
    entry.lone_until = 0.0
    store.release(name)
