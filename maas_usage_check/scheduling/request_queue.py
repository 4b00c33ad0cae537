"""Decides which request of one access key goes next, at a given time and without a thread.

The most urgent request goes first, among equals the one deferred longest. Before it goes it needs a closed circuit
breaker, a slot, a verified key (or the probe: the only request in flight), and a place in the rate.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from ..clock import Clock
from ..cloud.outcomes import API, PROXY, Outcome, effect_of
from ..errors import QueryError
from . import circuit_breaker
from .key_state import VERIFIED_S, KeyEntry, KeyState
from .rate_limiter import RateLimiter, defer, still_deferred
from .request import Group, Request

PROBE_POLL_S = 0.05
"""Seconds until the probe of another process is checked again."""
Entry = Tuple[Tuple[Any, ...], int, Request]


class RequestQueue:
    """The requests of one access key. Not for several threads at once: the caller holds a lock.

    Attributes:
        pause_s: after `next` returned None, the seconds until it may return another; infinite where that depends on
            a call of this class alone.
        concurrency: how many requests may be in flight once the key is verified.
        in_flight: requests from the decision to the use of their answers: each holds a slot.
    """

    def __init__(self, key: KeyState, clock: Clock) -> None:
        self.key = key
        self.pause_s = math.inf
        self.concurrency = 0
        self.limiter = RateLimiter(clock)
        self.groups: Set[Group] = set()
        self.in_flight: Set[Request] = set()
        self._clock = clock
        self._heap: List[Entry] = []
        self._retries: List[Entry] = []
        self._numbers = itertools.count()
        self._found_room: Dict[str, bool] = {}
        """By query key: False where the rate deferred it in this cycle, True where a deferred one was sent."""
        self._probe: Optional[Request] = None

    def __len__(self) -> int:
        """Count the requests that wait."""
        return len(self._heap) + len(self._retries)

    @property
    def hung(self) -> int:
        """Count the requests that hang past their deadline. They hold no slot: one would block the key for ever."""
        now = self._clock.monotonic()
        return sum(request.group.deadline <= now for request in self.in_flight)

    @property
    def slots(self) -> int:
        """Return how many requests may be in flight."""
        return self.concurrency if self.key.is_verified() else 1

    def open(self, group: Group) -> None:
        """Begin a cycle. The key is unverified again: it may have been revoked since the last one."""
        if not self.groups:
            self.concurrency, self.limiter.per_minute = group.concurrency, group.per_minute
            self.key.verified_until = -math.inf
            with self.key.transaction() as entry:
                circuit_breaker.reset_if_clock_fixed(entry, self._clock.now(), self._clock.monotonic())
                entry.deferred = still_deferred(entry, self._clock.now())
        self.groups.add(group)
        self.concurrency = min(self.concurrency, group.concurrency)
        self.limiter.per_minute = min(self.limiter.per_minute, group.per_minute)

    def submit(self, requests: Iterable[Request]) -> None:
        """Add requests."""
        for request in requests:
            request.group.ended.clear()
            request.group.pending += 1
            self._push(request)

    def next(self) -> Optional[Tuple[Request, Optional[QueryError]]]:
        """Pop the request that goes now, or one that cannot go any more, with the error; None if none can now."""
        now = self._clock.monotonic()
        while self._retries and self._retries[0][0][0] <= now:
            self._push(heapq.heappop(self._retries)[-1])
        self.pause_s = self._retries[0][0][0] - now if self._retries else math.inf
        if not self._heap:
            return None
        (_, deferred_at, *_), _, request = self._heap[0]
        try:
            self._raise_if_over(request, now)
            if len(self.in_flight) - self.hung >= self.slots:
                return None
            wait_s = self._permit(request, deferred_at, now)
            if wait_s:
                self.pause_s = min(self.pause_s, wait_s)
                return None
            error = None
        except QueryError as raised:
            # Drop the traceback: 2,000 of these errors would keep 4,000 frames alive.
            error = request.failure or raised.with_traceback(None)
        heapq.heappop(self._heap)
        self.in_flight.add(request)
        return request, error

    def record(self, request: Request, outcome: Outcome) -> bool:
        """Record how a request ended; return False if it will be tried again."""
        now, effect, is_probe = self._clock.monotonic(), effect_of(outcome), self._probe is request
        # A refusal is on disk before anybody goes on.
        if effect.opens or is_probe or (effect.verifies and self.key.entry.refusals):
            with self.key.transaction(durable=bool(effect.opens)) as entry:
                circuit_breaker.record(entry, request.api, outcome, self._clock.now(), now)
                if effect.verifies or effect.opens:
                    self.key.record_verification(entry, effect.verifies)
                if is_probe:
                    self._probe = None
                    self.key.release_probe(entry)
        if effect.verifies or effect.opens:
            self.key.verified_until = now + VERIFIED_S if effect.verifies else -math.inf
        if effect.opens == API:
            for group in self.groups:
                group.throttled.add(request.api)
        if effect.opens == PROXY and isinstance(outcome, QueryError):
            request.group.refused[request.api] = outcome
        if effect.retry and isinstance(outcome, QueryError) and request.tries < len(request.group.retries_s):
            ready = now + request.group.retries_s[request.tries] * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            request.tries, request.failure = request.tries + 1, outcome
            if ready < request.group.deadline:
                self.in_flight.remove(request)
                heapq.heappush(self._retries, ((ready,), next(self._numbers), request))
                return False
        return True

    def finish(self, request: Request, follow_ups: Iterable[Request] = ()) -> None:
        """Add what follows from a request, then end it: its group must not seem over before."""
        self.submit(follow_ups)
        self.in_flight.remove(request)
        request.group.pending -= 1
        if not request.group.pending:
            request.group.ended.set()

    def close(self, group: Group, projects: Dict[str, str]) -> None:
        """End a cycle and store what the next needs.

        `projects`: ids found in this cycle by where they were looked up; an empty one is to be looked up again.
        """
        self.groups.discard(group)
        if group.pending:
            group.deadline = min(group.deadline, self._clock.monotonic())  # a hung request holds no slot
            self._heap = sorted(entry for entry in self._heap if entry[-1].group is not group)
            self._retries = sorted(entry for entry in self._retries if entry[-1].group is not group)
        hangs = self._probe is not None and self._probe.group is group
        if self.groups and not (projects or hangs or self._found_room):
            return  # 200 instances that end at once need one transaction
        with self.key.transaction() as entry:
            defer(entry, self._found_room, self._clock.now())
            self._found_room.clear()
            known = {**entry.projects, **projects}
            entry.projects = {where: project for where, project in known.items() if project}
            self.limiter.settle(entry)
            if hangs:
                self._probe = None
                self.key.release_probe(entry)

    def _push(self, request: Request) -> None:
        deferred_at = self.key.entry.deferred.get(request.query_key, math.inf)
        order = (request.priority[0], deferred_at, *request.priority[1:])
        heapq.heappush(self._heap, (order, next(self._numbers), request))

    def _raise_if_over(self, request: Request, now: float) -> None:
        group = request.group
        if group.is_cancelled() or request.is_dropped() or group.deadline <= now:
            raise group.not_sent_error()
        if request.api in group.refused:
            raise QueryError(group.refused[request.api].result, str(group.refused[request.api]), is_consequence=True)
        circuit_breaker.raise_if_open(self.key.entry, request.api, self._clock.now(), request.api in group.throttled)

    def _permit(self, request: Request, deferred_at: float, now: float) -> float:
        """Take a place in the rate, and the probe where the key is not verified; return 0, or the seconds to wait.

        Raise QueryError where the request cannot go before its deadline.
        """
        is_background = request.is_background
        # A query without a key, as the lookup of a project, lets nothing go first: all others may depend on it.
        deferred_at = deferred_at if request.query_key else -math.inf
        wait_s = self.limiter.acquire(is_background, deferred_at, self.key.is_verified())
        if wait_s is None:
            with self.key.transaction() as entry:
                self._raise_if_over(request, now)
                is_probe = not self.key.is_verified()
                if is_probe and not self.key.claim_probe(entry, request.group.deadline - now):
                    return PROBE_POLL_S
                wanted = 1 if is_probe else sum(each[-1].is_background == is_background for each in self._heap)
                others = [] if is_background else self._deferred_elsewhere(entry)
                wait_s = self.limiter.lease(entry, is_background, wanted, deferred_at, others)
                if is_probe and wait_s:
                    self.key.release_probe(entry)
                elif is_probe:
                    self._probe = request
        if wait_s and not request.can_wait_until(now + wait_s, now):
            if request.query_key:
                self._found_room[request.query_key] = False
            raise self.limiter.over_rate(self.key.entry, is_background)
        if not wait_s and request.query_key in self.key.entry.deferred:
            self._found_room[request.query_key] = True
        return wait_s

    def _deferred_elsewhere(self, entry: KeyEntry) -> List[float]:
        """List when each deferred query that does not wait here was deferred: another process may send it."""
        here = {waiting[-1].query_key for waiting in self._heap}.union(self._found_room)
        return [at for query_key, at in entry.deferred.items() if query_key not in here]
