"""How many requests of one access key leave within a minute, among all processes.

Places are leased from the key's entry in batches, so that a cycle costs a few transactions and not one per request. A
leased place counts until a minute after the last moment at which it may be used; unused ones are given back.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..errors import QueryError, Result
from .key_state import KeyEntry

WINDOW_S = 61.0
"""Requests are counted by whole second, so the window of a minute needs one second more."""
LEASE_S = 5.0
LEASE_SIZE = 16
FULL_S = 1.0
"""A full rate is checked again after so long: another process may give places back."""
DEFERRED_S = 900.0
"""A deferred query keeps its queue position for so long, lest one that is never sent again stay before others."""


def background_share(per_minute: int) -> int:
    """Return how many background requests may leave within a minute: half of the rate, at least one."""
    return max(1, per_minute // 2)


class _Lease(Struct):
    """What the last transaction found for the foreground or the background: places, or none before `free_at`.

    Attributes:
        until: when the next transaction is needed; monotonic seconds, as `free_at`.
        second: at which the places count until they are used, or given back.
        used: the seconds at which places were used.
        deferred_at: a full rate is full for queries deferred then or later: `ahead` others go first.
    """

    is_background: bool
    until: float
    second: int = 0
    places: int = 0
    used: List[int] = []
    free_at: float = 0.0
    deferred_at: float = 0.0
    ahead: int = 0


class RateLimiter:
    """The places that this process has leased, for the foreground or the background: each lease ends the one before.

    Attributes:
        per_minute: how many requests may leave within a minute.
    """

    def __init__(self, clock: Clock, per_minute: int = 0) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._lease: Optional[_Lease] = None

    def acquire(self, is_background: bool, deferred_at: float, is_verified: bool) -> Optional[float]:
        """Use a leased place, without a transaction; return 0, the seconds until there is one, or None if not known.

        The probe of a key that is not verified leases a place of its own.
        """
        lease, now = self._lease, self._clock.monotonic()
        if lease is None or lease.is_background != is_background or now >= lease.until:
            return None
        if lease.places == 0:
            return lease.free_at - now if deferred_at >= lease.deferred_at else None
        if not is_verified or len(lease.used) >= lease.places:
            return None
        lease.used.append(int(self._clock.now()))
        return 0.0

    def lease(
        self, entry: KeyEntry, is_background: bool, wanted: int, deferred_at: float, others: Sequence[float]
    ) -> float:
        """Lease up to so many places and use one; return 0, or the seconds until there is one.

        `deferred_at`: when the request was deferred; `others`: when those of other processes were. Half of the rate at
        most is left for them.
        """
        now, monotonic, half = self._clock.now(), self._clock.monotonic(), self.per_minute // 2
        ahead = min(sum(at < deferred_at for at in others), half)
        self.settle(entry)
        limits: List[Tuple[Dict[int, int], int]] = [(entry.sent, self.per_minute)]
        limits += [(entry.background, background_share(self.per_minute))] if is_background else []
        free = min(limit - sum(counts.values()) for counts, limit in limits)
        if free > ahead:
            places = min(wanted, LEASE_SIZE, max(1, free - min(len(others), half)))
            second = int(now + LEASE_S)
            for counts, _ in limits:
                counts[second] = counts.get(second, 0) + places
            self._lease = _Lease(is_background, monotonic + LEASE_S, second, places, used=[int(now)])
            return 0.0
        reached = [counts for counts, limit in limits if sum(counts.values()) >= limit] or [entry.sent]
        wait_s = max(min(counts, default=int(now)) for counts in reached) + WINDOW_S - now
        free_at = monotonic + wait_s
        until = min(monotonic + FULL_S, free_at)
        self._lease = _Lease(is_background, until, free_at=free_at, deferred_at=deferred_at, ahead=ahead)
        return wait_s

    def settle(self, entry: KeyEntry) -> None:
        """Give back unused places; used ones count from the second at which they were used."""
        now, lease = self._clock.now(), self._lease
        self._lease = None
        if lease is not None and lease.places:
            for counts in (entry.sent, entry.background) if lease.is_background else (entry.sent,):
                counts[lease.second] = counts.get(lease.second, 0) - lease.places
                for second in lease.used:
                    counts[second] = counts.get(second, 0) + 1
        for counts in (entry.sent, entry.background):
            # A second beyond any lease was counted by a clock that has been set back since: it would block for ever.
            for at in [at for at in counts if counts[at] <= 0 or not now - WINDOW_S < at <= now + LEASE_S]:
                del counts[at]

    def over_rate(self, entry: KeyEntry, is_background: bool) -> QueryError:
        """Make the error of a request that finds no room before its deadline."""
        share = f" ({background_share(self.per_minute)} in the background)" if is_background else ""
        ahead = self._lease.ahead if self._lease else 0
        first = f"; {ahead} deferred earlier go first" if ahead else ""
        return QueryError(
            Result.OVER_RATE,
            f"rate limit: {sum(entry.sent.values())} requests sent in the last minute, max_requests_per_minute allows "
            f"{self.per_minute}{share}{first}; deferred queries go first in the next cycle: query fewer ranges, "
            "service types or labels, or raise it (the cloud allows 200 per user)",
            is_consequence=True,
        )


def still_deferred(entry: KeyEntry, now: float) -> Dict[str, float]:
    """Return when each query was deferred that still keeps its queue position, by query key."""
    return {query_key: at for query_key, at in entry.deferred.items() if now - DEFERRED_S < at <= now}


def defer(entry: KeyEntry, found_room: Mapping[str, bool], now: float) -> None:
    """Remember the queries that found no room: they go first in the next cycle, the one deferred longest before others.

    `found_room`: by query key.
    """
    deferred = {query_key: now for query_key, found in found_room.items() if not found}
    deferred.update(still_deferred(entry, now))
    entry.deferred = {query_key: at for query_key, at in deferred.items() if not found_room.get(query_key)}
