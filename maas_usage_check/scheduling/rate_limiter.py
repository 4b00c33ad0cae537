"""How many requests of one key leave within a minute, and whose turn it is when not all of them fit.

All of it works on the key's entry, so that processes that run at once count together.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional

from ..errors import QueryError, Result
from .key_state import KeyEntry

MINUTE = 61.0
"""Sends are counted per whole second, so a minute's window needs one second more."""
TURN_KEPT = 900.0
"""After 15 minutes a left-out question loses its place, lest one that is never asked again block others."""


def tenth(per_minute: int) -> int:
    """Tell how much of the rate is kept for what can wait."""
    return -(-per_minute // 10)


def sent(entry: KeyEntry, now: float) -> int:
    """Count the requests of the last minute."""
    return sum(_recent(entry.sent, now).values())


def ahead(entry: KeyEntry, turn: str, now: float) -> int:
    """Count what was left out earlier, and so goes first."""
    waiting = list(_waiting(entry, now))
    return waiting.index(turn) if turn in waiting else len(waiting)


def wait(entry: KeyEntry, turn: Optional[str], per_minute: int, kept: int, now: float) -> float:
    """Say in how many seconds a request may go; 0 means now.

    Args:
        entry: the key's.
        turn: the question's; what has none can wait for a later cycle, and lets nothing go first.
        per_minute: how many may leave within a minute.
        kept: how many of them are kept for the other kind. A tenth is never kept from what can wait.
        now: seconds since 1970.
    """
    all_sent, spare = sent(entry, now), sum(_recent(entry.spare, now).values())
    if turn is None:
        free = all_sent < per_minute - kept or spare < tenth(per_minute)
    else:
        before = ahead(entry, turn, now)
        all_sent, free = all_sent + before, all_sent + before - spare < max(1, per_minute - kept)
    if free and all_sent < per_minute:
        return 0.0
    return min(_recent(entry.sent, now), default=int(now)) + MINUTE - now


def is_full(entry: KeyEntry, per_minute: int, kept: int, now: float) -> bool:
    """Tell whether a question finds no room, whatever goes first, until the oldest request is a minute old."""
    all_sent, spare = sent(entry, now), sum(_recent(entry.spare, now).values())
    return all_sent >= per_minute or all_sent - spare >= max(1, per_minute - kept)


def take(entry: KeyEntry, turn: Optional[str], now: float) -> None:
    """Count a request that goes."""
    second = int(now)
    entry.sent = _recent(entry.sent, now)
    entry.sent[second] = entry.sent.get(second, 0) + 1
    if turn is None:
        entry.spare = _recent(entry.spare, now)
        entry.spare[second] = entry.spare.get(second, 0) + 1
    else:
        entry.left_out.pop(turn, None)


def leave_out(entry: KeyEntry, turns: Iterable[str], now: float) -> None:
    """Remember requests that found no room: they go first next time, after those that have waited longer."""
    waiting = _waiting(entry, now)
    for turn in turns:
        waiting.setdefault(turn, now)
    entry.left_out = waiting


def over_rate(entry: KeyEntry, turn: Optional[str], per_minute: int, kept: int, now: float) -> QueryError:
    """Say why a request was left out."""
    before = 0 if turn is None else ahead(entry, turn, now)
    first = f" and {before} that were left out before go first" if before else ""
    return QueryError(
        Result.OVER_RATE,
        f"{sent(entry, now)} requests left within a minute{first}, max_requests_per_minute lets "
        f"{max(1, per_minute - kept)} go; what is left out goes first in the next cycle: ask fewer ranges, service "
        "types or labels, or raise it (the cloud allows 200 per user)",
        is_consequence=True,
    )


def _recent(sends: Dict[int, int], now: float) -> Dict[int, int]:
    # What lies ahead of now comes from a clock that was set back: it would block for ever.
    return {second: count for second, count in sends.items() if now - MINUTE < second <= now}


def _waiting(entry: KeyEntry, now: float) -> Dict[str, float]:
    return {turn: at for turn, at in entry.left_out.items() if now - TURN_KEPT < at <= now}
