"""How many requests of one key leave within a minute, and whose turn it is when not all of them fit."""

from __future__ import annotations

from typing import Dict, Optional

from .state import KeyEntry

MINUTE = 61.0
"""A minute, and the second within which a request was counted."""
TURN_KEPT = 900.0
"""How long what was left out goes first: three cycles of the default interval. Who asks no more holds nobody up."""


class Pace:
    """Keep count by whole second. Its gate's lock guards it."""

    def __init__(self) -> None:
        self._sent: Dict[int, int] = {}
        self._unsaved: Dict[int, int] = {}
        self._left_out: Optional[Dict[str, float]] = None

    def load(self, entry: KeyEntry) -> None:
        """Take over what other runs sent, and once, at the start, what the last run left out."""
        self._sent = entry.sent
        if self._left_out is None:
            self._left_out = dict(entry.left_out)

    def save(self, entry: KeyEntry, now: float) -> None:
        """Leave both to the next run."""
        entry.sent = self._sent = _recent(_sum(entry.sent, self._unsaved), now)
        self._unsaved = {}
        entry.left_out = self._waiting(now)

    def sent(self, now: float) -> int:
        """Count the requests of the last minute."""
        return sum(_recent(_sum(self._sent, self._unsaved), now).values())

    def ahead(self, turn: str, now: float) -> int:
        """Count what was left out earlier, and so goes first."""
        waiting = list(self._waiting(now))
        return waiting.index(turn) if turn in waiting else len(waiting)

    def wait(self, turn: str, per_minute: int, now: float) -> float:
        """Say in how many seconds a request may go; 0 means now."""
        sent = _recent(_sum(self._sent, self._unsaved), now)
        if sum(sent.values()) + self.ahead(turn, now) < per_minute:
            return 0.0
        return min(sent, default=int(now)) + MINUTE - now

    def take(self, turn: str, now: float) -> None:
        """Count a request that goes."""
        self._unsaved[int(now)] = self._unsaved.get(int(now), 0) + 1
        if self._left_out:
            self._left_out.pop(turn, None)

    def leave_out(self, turn: str, now: float) -> None:
        """Remember a request that found no room: it goes first next time, after those that have waited longer."""
        self._left_out = {**self._waiting(now), turn: now}

    def _waiting(self, now: float) -> Dict[str, float]:
        return {turn: at for turn, at in (self._left_out or {}).items() if now - TURN_KEPT < at <= now}


def _sum(one: Dict[int, int], other: Dict[int, int]) -> Dict[int, int]:
    return {second: one.get(second, 0) + other.get(second, 0) for second in {*one, *other}}


def _recent(sent: Dict[int, int], now: float) -> Dict[int, int]:
    # What lies ahead of now comes from a clock that was set back: it would block for ever.
    return {second: count for second, count in sent.items() if now - MINUTE < second <= now}
