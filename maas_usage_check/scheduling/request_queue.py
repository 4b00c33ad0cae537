"""Decides which request of one access key goes next, at a given time and without a thread.

The most urgent request goes first, among equals the one deferred longest. Before it goes it needs a closed circuit
breaker, a slot, a verified key (or the probe: the only request in flight), and a place in the rate.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from msgspec import Struct, field

from ..clock import Clock
from ..cloud.outcomes import API, Outcome, effect_of
from ..errors import QueryError, Result
from . import circuit_breaker, rate_limiter
from .key_state import VERIFIED_S, KeyEntry, KeyState
from .priority import Priority
from .rate_limiter import Lane, RateLimiter

RETRIES_S = (0.5, 1.0)
"""Seconds before each further try, each spread by half, so that many agents do not come back together."""
PROBE_POLL_S = 0.05
"""Seconds until the probe of another process is checked again."""


class Group(Struct, eq=False):
    """The requests of one cycle: they share limits and a deadline.

    Attributes:
        per_minute: requests that may leave within a minute.
        concurrency: requests in flight at most.
        deadline: monotonic seconds; what was not sent by then is not sent.
        extension_s: seconds by which waiting for the rate may move the deadline, unless in the background.
        request_s: seconds that a request may take after such a wait.
        is_cancelled: reads a flag; nothing is sent once it is true.
        not_sent: the text of the error of a request that was not sent by the deadline.
        ended: set while no request is pending.
        rate_wait_s: seconds that a request waits for the rate.
    """

    per_minute: int
    concurrency: int
    deadline: float
    extension_s: float = 0.0
    request_s: float = 0.0
    is_cancelled: Callable[[], bool] = lambda: False
    not_sent: str = "not sent before the deadline"
    retries_s: Sequence[float] = RETRIES_S
    last_deadline: float = 0.0
    pending: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    throttled: Set[str] = set()
    deferred: List[str] = []
    sent: Set[str] = set()
    rate_wait_s: float = 0.0

    def __post_init__(self) -> None:
        self.last_deadline = self.deadline + self.extension_s
        self.ended.set()

    def not_sent_error(self) -> QueryError:
        """Make the error of a request that was not sent by the deadline."""
        return QueryError(Result.TIMED_OUT, self.not_sent, is_consequence=True)


class Request(Struct, eq=False):
    """One request to come.

    Attributes:
        priority: a Priority, then the order among the requests of that priority.
        api: the API that it calls.
        run: sends it and returns the believed answer; raises QueryError.
        on_end: takes the answer or the QueryError, and returns the requests that follow.
        query_key: names the query from cycle to cycle; one that the rate defers goes first in the next.
        preconnect: opens a connection that it may use.
        is_dropped: reads a flag; it is not sent once it is true.
    """

    group: Group
    priority: Tuple[int, ...]
    api: str
    run: Callable[[], Any]
    on_end: Callable[[Outcome], Iterable[Request]]
    query_key: str = ""
    preconnect: Callable[[], None] = lambda: None
    is_dropped: Callable[[], bool] = lambda: False
    is_connected: bool = False
    tries: int = 0
    failure: Optional[QueryError] = None

    @property
    def lane(self) -> Lane:
        """Return the limit that it shares with others."""
        return Lane(self.group.per_minute, self.priority[0] > Priority.LIVE)


Entry = Tuple[Tuple[Any, ...], int, Request]


class RequestQueue:
    """The requests of one access key. Not for several threads at once: the caller holds a lock.

    Attributes:
        pause_s: after `next` returned None, the seconds until it may return another; infinite where that depends on
            a call of this class alone.
        concurrency: how many requests may be in flight once the key is verified. Stored, for hundreds of cycles may
            share the key.
    """

    def __init__(self, key: KeyState, clock: Clock) -> None:
        self.key = key
        self.pause_s = math.inf
        self.concurrency = 0
        self.in_flight: List[Request] = []
        self.groups: Set[Group] = set()
        self._clock = clock
        self._limiter = RateLimiter(clock)
        self._lanes: Dict[Lane, List[Entry]] = {}
        self._retries: List[Entry] = []
        self._numbers = itertools.count()
        self._verified_until = -math.inf
        self._probe: Optional[Request] = None

    def __len__(self) -> int:
        """Count the requests that wait."""
        return sum(map(len, self._lanes.values())) + len(self._retries)

    def is_verified(self) -> bool:
        """Return true if more than one request may be in flight."""
        # Without the file, the refusals of other processes cannot be known.
        verified = self._clock.monotonic() < self._verified_until or self.key.verified_elsewhere(self.key.entry)
        return verified and not self.key.store.unreadable

    def open(self, group: Group) -> None:
        """Begin a cycle; the key is verified anew, for it may have been revoked since the last one."""
        if not self.groups:
            self._verified_until = -math.inf
            with self.key.transaction() as entry:
                circuit_breaker.reset_if_clock_fixed(entry, self._clock.now(), self._clock.monotonic())
        self.groups.add(group)
        self.concurrency = max(self.concurrency, group.concurrency)

    def submit(self, requests: Iterable[Request]) -> None:
        """Add requests."""
        for request in requests:
            request.group.pending += 1
            request.group.ended.clear()
            self._push(request)

    def to_connect(self) -> Optional[Request]:
        """Return a request, once each, that may connect while the probe is in flight."""
        if not self._lanes or not self.in_flight or self.is_verified():
            return None
        first = heapq.nsmallest(self.concurrency, itertools.chain(*self._lanes.values()))
        request = next((entry[-1] for entry in first if not entry[-1].is_connected), None)
        if request is not None:
            request.is_connected = True
        return request

    def next(self) -> Optional[Tuple[Request, Optional[QueryError]]]:
        """Pop the request that goes now, or one that cannot go any more, with the error; None if none can now."""
        now = self._clock.monotonic()
        while self._retries and self._retries[0][0][0] <= now:
            self._push(heapq.heappop(self._retries)[-1])
        self.pause_s = self._retries[0][0][0] - now if self._retries else math.inf
        full: Set[int] = set()
        for lane in sorted(self._lanes, key=lambda lane: self._lanes[lane][0]):
            if lane.per_minute in full:
                continue
            request = self._lanes[lane][0][-1]
            try:
                self._raise_if_over(request, now)
                if self._slots_full(request.group, now):
                    return None
                wait_s = self._permit(request, lane, now)
            except QueryError as error:
                return self._pop(lane), request.failure or error
            if not wait_s:
                if request.query_key in self.key.entry.deferred:
                    request.group.sent.add(request.query_key)
                self.in_flight.append(request)
                return self._pop(lane), None
            full.add(lane.per_minute)
            self.pause_s = min(self.pause_s, wait_s)
        return None

    def record(self, request: Request, outcome: Outcome) -> bool:
        """Record how a request ended; return False if it will be tried again."""
        now, failure = self._clock.monotonic(), outcome if isinstance(outcome, QueryError) else None
        effect, is_probe = effect_of(outcome), self._probe is request
        self.in_flight.remove(request)
        # A refusal is on disk before anybody goes on.
        if effect.opens or is_probe or (effect.verifies and self.key.entry.refusals):
            with self.key.transaction(durable=bool(effect.opens)) as entry:
                verified = effect.verifies or now < self._verified_until
                circuit_breaker.record(entry, request.api, failure, verified, self._clock.now(), now)
                if effect.verifies or effect.opens:
                    self.key.record_verification(entry, effect.verifies)
                if is_probe:
                    self._probe = None
                    self.key.release_probe(entry)
        if effect.verifies or effect.opens:
            self._verified_until = now + VERIFIED_S if effect.verifies else -math.inf
        if effect.opens == API:
            for group in self.groups:
                group.throttled.add(request.api)
        if effect.retry and request.tries < len(request.group.retries_s):
            ready = now + request.group.retries_s[request.tries] * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            request.tries, request.failure = request.tries + 1, failure
            if ready < request.group.deadline:
                heapq.heappush(self._retries, ((ready,), next(self._numbers), request))
                return False
        return True

    def finish(self, request: Request, follow_ups: Iterable[Request] = ()) -> None:
        """Add what follows from a request, then end it: its group must not seem over before."""
        self.submit(follow_ups)
        request.group.pending -= 1
        if not request.group.pending:
            request.group.ended.set()

    def close(self, group: Group, projects: Dict[str, str]) -> None:
        """End a cycle and store what the next needs.

        Args:
            group: the cycle's.
            projects: ids found in this cycle by where they were looked up; an empty one is to be looked up again.
        """
        self.groups.discard(group)
        self.concurrency = self.concurrency if self.groups else 0
        if group.pending:
            left = {
                lane: [entry for entry in heap if entry[-1].group is not group] for lane, heap in self._lanes.items()
            }
            self._lanes = {lane: sorted(heap) for lane, heap in left.items() if heap}
            self._retries = sorted(entry for entry in self._retries if entry[-1].group is not group)
        hangs = self._probe is not None and self._probe.group is group
        settles = self._limiter.has_leases and not self.groups
        if projects or hangs or settles or group.deferred or group.sent:
            with self.key.transaction() as entry:
                rate_limiter.defer(entry, group.deferred, group.sent, self._clock.now())
                known = {**entry.projects, **projects}
                entry.projects = {where: project for where, project in known.items() if project}
                if settles:
                    self._limiter.settle(entry)
                if hangs:
                    self._probe = None
                    self.key.release_probe(entry)

    def _push(self, request: Request) -> None:
        deferred_at = self.key.entry.deferred.get(request.query_key, math.inf)
        order = (request.priority[0], deferred_at, *request.priority[1:])
        heapq.heappush(self._lanes.setdefault(request.lane, []), (order, next(self._numbers), request))

    def _pop(self, lane: Lane) -> Request:
        request = heapq.heappop(self._lanes[lane])[-1]
        if not self._lanes[lane]:
            del self._lanes[lane]
        return request

    def _raise_if_over(self, request: Request, now: float) -> None:
        group = request.group
        if group.is_cancelled() or request.is_dropped() or group.deadline <= now:
            raise group.not_sent_error()
        circuit_breaker.raise_if_open(self.key.entry, request.api, self._clock.now(), request.api in group.throttled)

    def _slots_full(self, group: Group, now: float) -> bool:
        # A request that hangs past its deadline holds no slot: it would block the key until a restart.
        live = sum(request.group.deadline > now for request in self.in_flight)
        return live >= (group.concurrency if self.is_verified() else 1)

    def _permit(self, request: Request, lane: Lane, now: float) -> float:
        """Take a place in the rate, and the probe where the key is not verified; return 0, or the seconds to wait.

        Raise QueryError where the request cannot go before its deadline.
        """
        group = request.group
        if self.is_verified() and self._limiter.acquire(lane):
            return 0.0
        # A query without a key, as the lookup of a project, lets nothing go first: all others may depend on it.
        deferred_at = self._lanes[lane][0][0][1] if request.query_key else -math.inf
        wait_s = self._limiter.full_for(lane, deferred_at)
        if not wait_s:
            with self.key.transaction() as entry:
                self._raise_if_over(request, now)
                is_probe = not self.is_verified()
                if is_probe and not self.key.claim_probe(entry, group.deadline - now):
                    return PROBE_POLL_S
                others = self._deferred_elsewhere(entry, lane)
                wanted = 1 if is_probe else len(self._lanes[lane])
                wait_s = self._limiter.lease(entry, lane, wanted, deferred_at, others)
                if is_probe and wait_s:
                    self.key.release_probe(entry)
                elif is_probe:
                    self._probe = request
            if not wait_s:
                return 0.0
        free_at = now + wait_s
        is_awaited = request.priority[0] <= Priority.BY_HAND
        if is_awaited and free_at < group.last_deadline:
            group.deadline = max(group.deadline, min(group.last_deadline, free_at + group.request_s))
        if free_at >= group.deadline:
            group.deferred += [request.query_key] if request.query_key else []
            raise self._limiter.over_rate(self.key.entry, lane)
        group.rate_wait_s = wait_s if is_awaited else group.rate_wait_s
        return wait_s

    def _deferred_elsewhere(self, entry: KeyEntry, lane: Lane) -> List[float]:
        """List when each deferred query that does not wait here was deferred: another process may send it."""
        if lane.is_background or not entry.deferred:
            return []
        rate_limiter.defer(entry, (), set().union(*(group.sent for group in self.groups)), self._clock.now())
        queued = {waiting[-1].query_key for waiting in itertools.chain(*self._lanes.values())}
        return [at for query_key, at in entry.deferred.items() if query_key not in queued]
