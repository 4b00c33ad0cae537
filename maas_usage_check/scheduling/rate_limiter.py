"""How many requests of one access key leave within a minute, among all processes.

Places are leased from the key's entry in batches, so that a cycle costs a few transactions and not one per request. A
leased place counts until a minute after the last moment at which it may be used; unused ones are given back.
"""

from __future__ import annotations

import math
from typing import Dict, List, Mapping, Sequence, Tuple

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
    """Places that count at `second` until they are used, or given back; `until` is monotonic."""

    second: int
    places: int
    until: float
    used: List[int]


class _Full(Struct):
    """No place before `free_at` for a query deferred at `deferred_at` or later: `ahead` others go first."""

    checked: float
    free_at: float
    deferred_at: float
    ahead: int


class RateLimiter:
    """The places that this process has leased, for the foreground and the background."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: Dict[bool, _Lease] = {}
        self._full: Dict[bool, _Full] = {}

    def acquire(self, is_background: bool) -> bool:
        """Use a leased place, without a transaction; return False where there is none."""
        lease = self._leases.get(is_background)
        if lease is None or len(lease.used) >= lease.places or self._clock.monotonic() >= lease.until:
            return False
        lease.used.append(int(self._clock.now()))
        return True

    def full_for(self, is_background: bool, deferred_at: float) -> float:
        """Return the seconds until there is a place, as found in the last second; 0 if that is not known."""
        now, full = self._clock.monotonic(), self._full.get(is_background)
        if full is None or deferred_at < full.deferred_at or now >= min(full.checked + FULL_S, full.free_at):
            return 0.0
        return full.free_at - now

    def lease(
        self,
        entry: KeyEntry,
        per_minute: int,
        is_background: bool,
        wanted: int,
        deferred_at: float = math.inf,
        others: Sequence[float] = (),
    ) -> float:
        """Lease up to so many places and use one; return 0, or the seconds until there is one.

        `deferred_at`: when the request was deferred; `others`: when those of other processes were. Half of the rate at
        most is left for them.
        """
        now, monotonic, half = self._clock.now(), self._clock.monotonic(), per_minute // 2
        ahead = min(sum(at < deferred_at for at in others), half)
        self.settle(entry)
        limits: List[Tuple[Dict[int, int], int]] = [(entry.sent, per_minute)]
        limits += [(entry.background, background_share(per_minute))] if is_background else []
        free = min(limit - sum(counts.values()) for counts, limit in limits)
        if free > ahead:
            places = min(wanted, LEASE_SIZE, max(1, free - min(len(others), half)))
            self._leases[is_background] = lease = _Lease(int(now + LEASE_S), places, monotonic + LEASE_S, [int(now)])
            for counts, _ in limits:
                counts[lease.second] = counts.get(lease.second, 0) + places
            return 0.0
        reached = [counts for counts, limit in limits if sum(counts.values()) >= limit] or [entry.sent]
        wait_s = max(min(counts, default=int(now)) for counts in reached) + WINDOW_S - now
        self._full[is_background] = _Full(monotonic, monotonic + wait_s, deferred_at, ahead)
        return wait_s

    def settle(self, entry: KeyEntry) -> None:
        """Give back unused places; used ones count from the second at which they were used."""
        now = self._clock.now()
        for is_background, lease in self._leases.items():
            for counts in (entry.sent, entry.background) if is_background else (entry.sent,):
                counts[lease.second] = counts.get(lease.second, 0) - lease.places
                for second in lease.used:
                    counts[second] = counts.get(second, 0) + 1
        self._leases.clear()
        self._full.clear()
        for counts in (entry.sent, entry.background):
            # A second beyond any lease was counted by a clock that has been set back since: it would block for ever.
            for at in [at for at in counts if counts[at] <= 0 or not now - WINDOW_S < at <= now + LEASE_S]:
                del counts[at]

    @property
    def has_leases(self) -> bool:
        """True if there are places to settle."""
        return bool(self._leases)

    def over_rate(self, entry: KeyEntry, per_minute: int, is_background: bool) -> QueryError:
        """Make the error of a request that finds no room before its deadline."""
        share = f" ({background_share(per_minute)} in the background)" if is_background else ""
        ahead = self._full[is_background].ahead
        first = f"; {ahead} deferred earlier go first" if ahead else ""
        return QueryError(
            Result.OVER_RATE,
            f"rate limit: {sum(entry.sent.values())} requests sent in the last minute, max_requests_per_minute allows "
            f"{per_minute}{share}{first}; deferred queries go first in the next cycle: query fewer ranges, "
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
    kept = {
        query_key: at for query_key, at in still_deferred(entry, now).items() if not found_room.get(query_key, False)
    }
    entry.deferred = {**{query_key: now for query_key, found in found_room.items() if not found}, **kept}
