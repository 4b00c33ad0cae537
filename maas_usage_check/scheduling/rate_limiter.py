"""How many requests of one access key leave within a minute, among all processes.

Places are leased from the key's entry in batches, so that a cycle costs a few transactions and not one per request. A
leased place counts until a minute after the last moment at which it may be used; unused ones are given back.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Set, Tuple

from ..clock import Clock
from ..errors import QueryError, Result
from .key_state import KeyEntry

WINDOW_S = 61.0
"""Requests are counted by whole second, so the window of a minute needs one second more."""
LEASE_S = 5.0
LEASE_SIZE = 16
DEFERRED_S = 900.0
"""A deferred query keeps its queue position for so long, lest one that is never sent again stay ahead of others."""


class Lane(NamedTuple):
    """Requests that share a limit: the instance's requests per minute, all of it or its background share."""

    per_minute: int
    is_background: bool


def background_share(per_minute: int) -> int:
    """Return how many background requests may leave within a minute: half of the rate, at least one."""
    return max(1, per_minute // 2)


class _Lease:
    def __init__(self, second: int, count: int, until: float) -> None:
        self.second = second
        self.count = count
        self.until = until
        self.used: List[int] = []


class RateLimiter:
    """The places that this process has leased."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: Dict[Lane, _Lease] = {}

    @property
    def has_leases(self) -> bool:
        """True if there is something to give back."""
        return bool(self._leases)

    def acquire(self, lane: Lane) -> bool:
        """Use a leased place, without a transaction; return False where there is none."""
        lease = self._leases.get(lane)
        if lease is None or len(lease.used) >= lease.count or self._clock.monotonic() >= lease.until:
            return False
        lease.used.append(int(self._clock.now()))
        return True

    def wait(self, entry: KeyEntry, lane: Lane, ahead: int = 0) -> float:
        """Give back the lane's unused places; return the seconds until there is a place, 0 if there is one.

        `ahead`: how many queries go first.
        """
        self._settle(entry, lane)
        now = self._clock.now()
        free, wait_s = room(entry, lane, now)
        if 0 < free <= ahead:
            wait_s = min(entry.sent, default=int(now)) + WINDOW_S - now
        return wait_s

    def lease(self, entry: KeyEntry, lane: Lane, wanted: int, reserved: int = 0) -> None:
        """Lease up to so many places where `wait` returned 0, and use one of them; `reserved` stay free for others."""
        now = self._clock.now()
        free = max(1, room(entry, lane, now)[0] - reserved)
        count, second = min(wanted, LEASE_SIZE, free), int(now + LEASE_S)
        for counts in _counts_of(entry, lane):
            counts[second] = counts.get(second, 0) + count
        self._leases[lane] = _Lease(second, count, self._clock.monotonic() + LEASE_S)
        self.acquire(lane)

    def give_back(self, entry: KeyEntry) -> None:
        """Give back all unused places; used ones count from the second at which they were used."""
        for lane in list(self._leases):
            self._settle(entry, lane)

    def _settle(self, entry: KeyEntry, lane: Lane) -> None:
        now, lease = self._clock.now(), self._leases.pop(lane, None)
        entry.sent, entry.background = _recent(entry.sent, now), _recent(entry.background, now)
        if lease is None:
            return
        for counts in _counts_of(entry, lane):
            left = counts.pop(lease.second, 0) - lease.count
            if left > 0:  # other leases
                counts[lease.second] = left
            for second in lease.used:
                counts[second] = counts.get(second, 0) + 1


def room(entry: KeyEntry, lane: Lane, now: float) -> Tuple[int, float]:
    """Return how many requests may leave, and, if none, the seconds until one may."""
    free, wait_s = lane.per_minute, 0.0
    limits = [(entry.sent, lane.per_minute), (entry.background, background_share(lane.per_minute))]
    for counts, limit in limits[: 1 + lane.is_background]:
        recent = _recent(counts, now)
        left = limit - sum(recent.values())
        if left <= 0:
            wait_s = max(wait_s, min(recent) + WINDOW_S - now)
        free = min(free, left)
    return max(0, free), wait_s


def defer(entry: KeyEntry, query_keys: Iterable[str], served: Set[str], now: float) -> None:
    """Remember queries that found no room: they go first in the next cycle, the one deferred longest before others."""
    deferred = {key: at for key, at in entry.deferred.items() if now - DEFERRED_S < at <= now and key not in served}
    for key in query_keys:
        deferred.setdefault(key, now)
    entry.deferred = deferred


def over_rate(entry: KeyEntry, lane: Lane, now: float, ahead: int = 0) -> QueryError:
    """Make the error of a request that finds no room before its deadline; `ahead`: how many queries go first."""
    first = f"; {ahead} deferred earlier go first" if ahead else ""
    share = f"; {background_share(lane.per_minute)} of them for background" if lane.is_background else ""
    return QueryError(
        Result.OVER_RATE,
        f"rate limit: {sum(_recent(entry.sent, now).values())} requests sent in the last minute, "
        f"max_requests_per_minute allows {lane.per_minute}{share}{first}; deferred queries go first in the next cycle: "
        "query fewer ranges, service types or labels, or raise it (the cloud allows 200 per user)",
        is_consequence=True,
    )


def _counts_of(entry: KeyEntry, lane: Lane) -> List[Dict[int, int]]:
    return [entry.sent, entry.background][: 1 + lane.is_background]


def _recent(counts: Dict[int, int], now: float) -> Dict[int, int]:
    # A second beyond any lease was counted by a clock that has been set back since: it would block for ever.
    return {second: count for second, count in counts.items() if now - WINDOW_S < second <= now + LEASE_S}
