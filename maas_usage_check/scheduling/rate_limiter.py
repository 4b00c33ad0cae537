"""How many requests of one access key leave within a minute, among all processes.

Places are leased from the key's entry in batches, so that a cycle costs a few transactions and not one per request. A
leased place counts until a minute after the last moment at which it may be used; unused ones are given back.
"""

from __future__ import annotations

import math
from typing import Dict, Iterable, List, Sequence, Set

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


class Lane(Struct, frozen=True):
    """Requests that share a limit: all of an instance's requests per minute, or its background share."""

    per_minute: int
    is_background: bool

    def counts(self, entry: KeyEntry) -> List[Dict[int, int]]:
        """Return the counts by second that a request of this lane adds to."""
        return [entry.sent, entry.background] if self.is_background else [entry.sent]


def background_share(per_minute: int) -> int:
    """Return how many background requests may leave within a minute: half of the rate, at least one."""
    return max(1, per_minute // 2)


class _Lease(Struct):
    second: int = 0
    count: int = 0
    until: float = -math.inf
    used: List[int] = []
    checked: float = -math.inf
    free_at: float = 0.0
    deferred_at: float = math.inf
    queue_position: int = 0


class RateLimiter:
    """The places that this process has leased."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: Dict[Lane, _Lease] = {}

    def acquire(self, lane: Lane) -> bool:
        """Use a leased place, without a transaction; return False where there is none."""
        lease = self._leases.get(lane)
        if lease is None or len(lease.used) >= lease.count or self._clock.monotonic() >= lease.until:
            return False
        lease.used.append(int(self._clock.now()))
        return True

    def full_for(self, lane: Lane, deferred_at: float) -> float:
        """Return the seconds until there is a place, as found in the last second; 0 if that is not known.

        `deferred_at`: when the request was deferred; what was found for a later one does not hold for it.
        """
        now, lease = self._clock.monotonic(), self._leases.get(lane, _Lease())
        is_known = now < min(lease.checked + FULL_S, lease.free_at) and deferred_at >= lease.deferred_at
        return lease.free_at - now if is_known else 0.0

    def lease(
        self, entry: KeyEntry, lane: Lane, wanted: int, deferred_at: float = math.inf, others: Sequence[float] = ()
    ) -> float:
        """Lease up to so many places and use one; return 0, or the seconds until there is one.

        Args:
            entry: of the access key.
            lane: whose places.
            wanted: how many.
            deferred_at: when the request was deferred.
            others: when queries of other processes were deferred; half of the rate at most is left for them.
        """
        now, monotonic, half = self._clock.now(), self._clock.monotonic(), lane.per_minute // 2
        queue_position = min(sum(at < deferred_at for at in others), half)
        self.settle(entry)
        free, wait_s = lane.per_minute, 0.0
        for counts, limit in zip(lane.counts(entry), (lane.per_minute, background_share(lane.per_minute))):
            left = limit - sum(counts.values())
            free = min(free, left)
            wait_s = max(wait_s, min(counts) + WINDOW_S - now if left <= 0 else 0.0)
        if 0 < free <= queue_position:
            wait_s = min(entry.sent, default=int(now)) + WINDOW_S - now
        if wait_s:
            free_at = monotonic + wait_s
            self._leases[lane] = _Lease(
                checked=monotonic, free_at=free_at, deferred_at=deferred_at, queue_position=queue_position
            )
            return wait_s
        second, count = (
            int(now + LEASE_S),
            min(wanted, LEASE_SIZE, max(1, free - min(len(others), half))),
        )
        for counts in lane.counts(entry):
            counts[second] = counts.get(second, 0) + count
        self._leases[lane] = _Lease(second, count, monotonic + LEASE_S, [int(now)])
        return 0.0

    def over_rate(self, entry: KeyEntry, lane: Lane) -> QueryError:
        """Make the error of a request that finds no room before its deadline."""
        share = f" ({background_share(lane.per_minute)} in the background)" if lane.is_background else ""
        queue_position = self._leases[lane].queue_position
        first = f"; {queue_position} deferred earlier go first" if queue_position else ""
        return QueryError(
            Result.OVER_RATE,
            f"rate limit: {sum(entry.sent.values())} requests sent in the last minute, max_requests_per_minute allows "
            f"{lane.per_minute}{share}{first}; deferred queries go first in the next cycle: query fewer ranges, "
            "service types or labels, or raise it (the cloud allows 200 per user)",
            is_consequence=True,
        )

    def settle(self, entry: KeyEntry) -> None:
        """Give back unused places; used ones count from the second at which they were used."""
        now = self._clock.now()
        for lane, lease in self._leases.items():
            for counts in lane.counts(entry):
                counts[lease.second] = counts.get(lease.second, 0) - lease.count
                for second in lease.used:
                    counts[second] = counts.get(second, 0) + 1
        self._leases.clear()
        for counts in (entry.sent, entry.background):
            # A second beyond any lease was counted by a clock that has been set back since: it would block for ever.
            for at in [at for at in counts if counts[at] <= 0 or not now - WINDOW_S < at <= now + LEASE_S]:
                del counts[at]

    @property
    def has_leases(self) -> bool:
        """True if there are places to settle."""
        return any(lease.count for lease in self._leases.values())


def defer(entry: KeyEntry, query_keys: Iterable[str], sent: Set[str], now: float) -> None:
    """Remember queries that found no room: they go first in the next cycle, the one deferred longest before others."""
    deferred = {key: at for key, at in entry.deferred.items() if now - DEFERRED_S < at <= now and key not in sent}
    for key in query_keys:
        deferred.setdefault(key, now)
    entry.deferred = deferred
