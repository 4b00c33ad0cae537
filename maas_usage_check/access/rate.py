"""How many requests of one key leave within a minute, and whose turn it is when not all of them fit.

All of it works on the key's entry, so that processes that run at once count together.
"""

from __future__ import annotations

from typing import Dict, Optional

from ..errors import QueryError, Result
from .key_entry import KeyEntry

MINUTE = 61.0
"""Sends are counted per whole second, so a minute's window needs one second more."""
TURN_KEPT = 900.0
"""After 15 minutes a left-out question loses its place, lest one that is never asked again block others."""


def tenth(per_minute: int) -> int:
    """Tell how much of the rate is kept for what is not urgent."""
    return -(-per_minute // 10)


def sent(entry: KeyEntry, now: float) -> int:
    """Count the requests of the last minute."""
    return sum(_recent(entry, now).values())


def ahead(entry: KeyEntry, turn: str, now: float) -> int:
    """Count what was left out earlier, and so goes first."""
    waiting = list(_waiting(entry, now))
    return waiting.index(turn) if turn in waiting else len(waiting)


def wait(entry: KeyEntry, turn: Optional[str], per_minute: int, now: float) -> float:
    """Say in how many seconds a request may go; 0 means now. One without a turn lets nothing go first."""
    if sent(entry, now) + (0 if turn is None else ahead(entry, turn, now)) < per_minute:
        return 0.0
    return min(_recent(entry, now), default=int(now)) + MINUTE - now


def take(entry: KeyEntry, turn: Optional[str], now: float) -> None:
    """Count a request that goes."""
    entry.sent = _recent(entry, now)
    entry.sent[int(now)] = entry.sent.get(int(now), 0) + 1
    if turn is not None:
        entry.left_out.pop(turn, None)


def leave_out(entry: KeyEntry, turn: Optional[str], now: float) -> None:
    """Remember a request that found no room: it goes first next time, after those that have waited longer."""
    if turn is None:
        return
    waiting = _waiting(entry, now)
    entry.left_out = {**waiting, turn: waiting.get(turn, now)}


def over_rate(entry: KeyEntry, turn: Optional[str], per_minute: int, now: float) -> QueryError:
    """Say why a request was left out."""
    before = 0 if turn is None else ahead(entry, turn, now)
    first = f" and {before} that were left out before go first" if before else ""
    return QueryError(
        Result.OVER_RATE,
        f"{sent(entry, now)} requests left within a minute{first}, max_requests_per_minute lets {per_minute} go; what "
        "is left out goes first in the next cycle: ask fewer ranges, service types or labels, or raise it (the cloud "
        "allows 200 per user)",
    )


def _recent(entry: KeyEntry, now: float) -> Dict[int, int]:
    # What lies ahead of now comes from a clock that was set back: it would block for ever.
    return {second: count for second, count in entry.sent.items() if now - MINUTE < second <= now}


def _waiting(entry: KeyEntry, now: float) -> Dict[str, float]:
    return {turn: at for turn, at in entry.left_out.items() if now - TURN_KEPT < at <= now}
