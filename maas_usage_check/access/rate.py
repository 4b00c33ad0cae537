"""How many requests of one key leave within a minute, and whose turn it is when not all of them fit.

All of it works on the key's entry of the state, so that processes that run at once count together.
"""

from __future__ import annotations

from typing import Dict

from ..store.store import KeyEntry

MINUTE = 61.0
"""A minute, and the second within which a request was counted."""
TURN_KEPT = 900.0
"""How long what was left out goes first: three cycles of the default interval. Who asks no more holds nobody up."""


def sent(entry: KeyEntry, now: float) -> int:
    """Count the requests of the last minute."""
    return sum(_recent(entry, now).values())


def ahead(entry: KeyEntry, turn: str, now: float) -> int:
    """Count what was left out earlier, and so goes first."""
    waiting = list(_waiting(entry, now))
    return waiting.index(turn) if turn in waiting else len(waiting)


def wait(entry: KeyEntry, turn: str, per_minute: int, now: float) -> float:
    """Say in how many seconds a request may go; 0 means now."""
    if sent(entry, now) + ahead(entry, turn, now) < per_minute:
        return 0.0
    return min(_recent(entry, now), default=int(now)) + MINUTE - now


def take(entry: KeyEntry, turn: str, now: float) -> None:
    """Count a request that goes."""
    entry.sent = _recent(entry, now)
    entry.sent[int(now)] = entry.sent.get(int(now), 0) + 1
    entry.left_out.pop(turn, None)


def leave_out(entry: KeyEntry, turn: str, now: float) -> None:
    """Remember a request that found no room: it goes first next time, after those that have waited longer."""
    waiting = _waiting(entry, now)
    entry.left_out = {**waiting, turn: waiting.get(turn, now)}


def _recent(entry: KeyEntry, now: float) -> Dict[int, int]:
    # What lies ahead of now comes from a clock that was set back: it would block for ever.
    return {second: count for second, count in entry.sent.items() if now - MINUTE < second <= now}


def _waiting(entry: KeyEntry, now: float) -> Dict[str, float]:
    return {turn: at for turn, at in entry.left_out.items() if now - TURN_KEPT < at <= now}
