"""One gate per key: what keeps a monitor from locking the key or hitting the limit.

More than five refused signatures in a row lock a key for five minutes, for everyone who uses it. So the first
request of a cycle goes alone, the rest follow only when it was accepted, and after a refusal nobody asks for a
while. What decides is the key's entry in the store, changed in one transaction for every request: instances,
threads, runs, and processes that run at once all keep to it together.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from typing import Callable, Dict, Iterator, Optional, Set, Tuple

from ..clock import Clock
from ..errors import QueryError, Result
from ..store import Store
from . import breaker, lone_request, rate
from .key_entry import KeyEntry

HARMLESS = 5
"""Requests that may be under way at once: all refused in the end, they would still not lock the key."""
PAUSE = 0.05
"""Seconds until another process's lone request is looked at again."""

UNPROVEN = frozenset({Result.PERMISSION_DENIED, Result.TIMED_OUT, Result.NETWORK, Result.SERVER_ERROR, Result.INTERNAL})
"""Failures that do not prove the signature right (a 401 may name a permission): the next request goes alone too."""


class Gate:
    """Hold what the cycles of this process share of one key: its newest entry, and which requests are under way."""

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.me = os.urandom(8).hex()
        self.changed = threading.Condition()
        self.seen = KeyEntry()
        self.passes: Set[Pass] = set()
        self.in_flight: Dict[int, float] = {}
        self.tickets = itertools.count()
        self.lone: Optional[int] = None
        self.planned: Dict[str, int] = {}
        self.name = name
        self._store = store
        self._clock = clock

    def begin(self, who: str = "", planned: int = 0) -> Pass:
        """Start a cycle of somebody who plans so many requests that must not be left out."""
        with self.entry() as entry:
            breaker.mend_clock(entry, self._clock.now(), self._clock.monotonic())
        started = Pass(self, self._clock)
        with self.changed:
            self.planned[who] = planned
            self.passes.add(started)
        return started

    @contextlib.contextmanager
    def entry(self, durable: bool = False) -> Iterator[KeyEntry]:
        """Change the key's entry in one transaction."""
        with self._store.entry(KeyEntry, self.name, durable) as entry:
            self.seen = entry
            yield entry

    def is_proven(self, by_cycle: bool, entry: KeyEntry) -> bool:
        """Tell whether more than one request may be under way."""
        # What other runs were refused cannot be known without the file: then each request goes alone.
        if self._store.blind:
            return False
        return by_cycle or lone_request.is_proven(entry, self.me, self._clock.now())

    def claim_lone(self, ticket: int, entry: KeyEntry, seconds: float) -> bool:
        """Try to be the one who asks alone, among all processes, for so many seconds at most."""
        now = self._clock.now()
        if not lone_request.claim(self._store, self.name, entry, now + seconds, now):
            return False
        self.lone = ticket
        return True

    def release_lone(self, entry: KeyEntry) -> None:
        """Let another process ask alone."""
        self.lone = None
        lone_request.release(self._store, self.name, entry)

    def held_until(self, proven: bool, at_once: int) -> float:
        """When may the next request stop waiting for those in flight? In monotonic seconds."""
        # One that hangs past its deadline counts no more: it would block the key until a restart.
        now = self._clock.monotonic()
        under_way = [give_up for give_up in self.in_flight.values() if give_up > now]
        if not under_way or (proven and len(under_way) < at_once):
            return float("-inf")
        return min(under_way) if proven else max(under_way)


class Pass:
    """Let the requests of one cycle through the gate, or say why not.

    That the key is proven, and that a 429 has closed an API, is this cycle's alone.
    """

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self.projects = dict(gate.seen.projects)
        self.proven = False
        self.closed: Set[str] = set()
        self._gate = gate
        self._clock = clock
        self._mine: Set[int] = set()

    def admit(
        self,
        per_minute: int,
        give_up: float,
        turn: Optional[str] = "",
        at_once: int = HARMLESS,
        api: str = "statistics",
        kept: int = 0,
        meanwhile: Optional[Callable[[], None]] = None,
    ) -> int:
        """Wait until one request may go; return its ticket, or raise QueryError when it may not go in time.

        Args:
            per_minute: how many may leave within a minute.
            give_up: monotonic seconds; from then on the request holds nobody up, even if it hangs.
            turn: names the question from cycle to cycle, so that one that was left out goes first next time; None
                is not remembered.
            at_once: how many may be under way when the key is proven, if more than are harmless.
            api: which API is asked: a 429 closes one of them.
            kept: how much of the rate is kept for the other kind: for what has no turn, or for what has one.
            meanwhile: called once where another request must prove the key first, before it is waited for.
        """
        while True:
            place = self._place(give_up, max(at_once, HARMLESS), api, wait=meanwhile is None)
            if place is None:
                assert meanwhile is not None
                meanwhile()
                meanwhile = None
                continue
            ticket, left = place
            try:
                wait = self._ask_leave(ticket, per_minute, kept, left, turn, api)
            except BaseException:
                self._give_back(ticket)
                raise
            if not wait:
                return ticket
            self._give_back(ticket)
            self._clock.sleep(min(wait, left))

    def in_demand(self) -> int:
        """Count the requests that must not be left out, of a cycle of everybody in this process."""
        with self._gate.changed:
            return sum(self._gate.planned.values())

    def settle(self, ticket: int, failure: Optional[QueryError], api: str = "statistics") -> None:
        """Take note of how an admitted request ended; None means that it was answered well."""
        gate = self._gate
        result = failure.result if failure else Result.OK
        refused, throttled = result in breaker.REFUSALS, result == Result.THROTTLED
        proves = result not in UNPROVEN and not refused and not throttled
        # A refusal is on the disk before anybody can go on: its wait must outlive whatever comes next.
        if refused or throttled or gate.lone == ticket or (proves and gate.seen.refusals):
            with gate.entry(durable=refused or throttled) as entry:
                now = self._clock.now()
                breaker.note(entry, api, failure, proves or self.proven, now, self._clock.monotonic())
                if refused:
                    entry.proven_by = ""
                elif proves:
                    entry.proven_by, entry.proven_at = gate.me, now
                if gate.lone == ticket:
                    gate.release_lone(entry)
        with gate.changed:
            for each in gate.passes:
                each.proven = proves or (each.proven and not refused and not throttled)
                each.closed |= {api} if throttled else set()
            self._drop(ticket)

    def end(self, learned: Dict[str, str]) -> None:
        """Finish the cycle. What it still has under way holds other processes up no more.

        Args:
            learned: project ids found in this cycle; an empty one is to be looked up again.
        """
        gate = self._gate
        with gate.changed:
            gate.passes.discard(self)
        hangs = gate.lone in self._mine
        if learned or hangs:
            with gate.entry() as entry:
                known = {**entry.projects, **learned}
                entry.projects = {where: project for where, project in known.items() if project}
                if hangs:
                    gate.release_lone(entry)

    def _place(self, give_up: float, at_once: int, api: str, wait: bool) -> Optional[Tuple[int, float]]:
        """Wait for a place among the requests in flight, and take it before the store is asked for leave.

        Return None where the key is not proven yet and this may not `wait` for it.
        """
        gate = self._gate
        with gate.changed:
            while True:
                breaker.raise_if_shut(gate.seen, api, self._clock.now(), api in self.closed)
                monotonic = self._clock.monotonic()
                left = give_up - monotonic
                if left <= 0:
                    raise QueryError(Result.TIMED_OUT, "the deadline came before its turn: raise deadline, or ask less")
                proven = gate.is_proven(self.proven, gate.seen)
                held = gate.held_until(proven, at_once) - monotonic
                if held <= 0:
                    ticket = next(gate.tickets)
                    gate.in_flight[ticket] = give_up
                    self._mine.add(ticket)
                    return ticket, left
                if not (proven or wait):
                    return None
                gate.changed.wait(min(left, held))

    def _give_back(self, ticket: int) -> None:
        with self._gate.changed:
            self._drop(ticket)

    def _drop(self, ticket: int) -> None:
        self._mine.discard(ticket)
        del self._gate.in_flight[ticket]
        self._gate.changed.notify_all()

    def _ask_leave(self, ticket: int, per_minute: int, kept: int, left: float, turn: Optional[str], api: str) -> float:
        """Take leave for one request in the store; return 0, or in how many seconds to ask again."""
        gate = self._gate
        with gate.entry() as entry:
            now = self._clock.now()
            breaker.raise_if_shut(entry, api, now, api in self.closed)
            wait = rate.wait(entry, turn, per_minute, kept, now)
            if wait > left:
                rate.leave_out(entry, turn, now)
            elif not wait:
                proven = gate.is_proven(self.proven, entry)
                if not proven and not gate.claim_lone(ticket, entry, left):
                    return PAUSE
                rate.take(entry, turn, now)
        if wait > left:
            raise rate.over_rate(entry, turn, per_minute, kept, now)
        return wait
