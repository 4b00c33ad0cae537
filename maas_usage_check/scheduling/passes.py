"""The pass of one cycle through its key's gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, Optional, Set, Tuple

from ..clock import Clock
from ..errors import RETRYABLE, QueryError, Result
from . import circuit_breaker, rate_limiter

if TYPE_CHECKING:
    from .gate import Gate

HARMLESS = 5
"""Requests that may be under way at once: all refused in the end, they would still not lock the key."""
PAUSE = 0.05
"""Seconds until another process's lone request is looked at again."""

UNPROVEN = RETRYABLE | {Result.PERMISSION_DENIED, Result.BAD_ANSWER, Result.INTERNAL}
"""Failures that do not prove the signature right: a 401 may name a permission, and something else may have answered."""


class Pass:
    """Let the requests of one cycle through the gate, or say why not.

    That the key is proven, and that a 429 has closed an API, is this cycle's alone.
    """

    def __init__(self, gate: Gate, clock: Clock, late: str) -> None:
        self.projects = dict(gate.seen.projects)
        self.proven = False
        self.closed: Set[str] = set()
        self._gate = gate
        self._clock = clock
        self._late = late
        self._mine: Set[int] = set()
        self._left_out: Dict[str, None] = {}
        self._full: Dict[Tuple[int, int], Tuple[float, QueryError]] = {}

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
            ticket = self._place(give_up, max(at_once, HARMLESS), api, meanwhile)
            meanwhile = None
            left = give_up - self._clock.monotonic()
            try:
                wait = self._ask_leave(ticket, per_minute, kept, left, turn, api)
            except BaseException:
                self._give_back(ticket)
                raise
            if not wait:
                return ticket
            self._give_back(ticket)
            self._clock.sleep(max(0.0, min(wait, left)))

    def in_demand(self) -> int:
        """Count the requests that must not be left out, of a cycle of everybody in this process."""
        with self._gate.places.lock:
            return sum(self._gate.planned.values())

    def is_crowded(self) -> bool:
        """Tell whether enough wait at this gate already: who has one request there gains little by a second."""
        return self._gate.places.is_crowded()

    def settle(self, ticket: int, failure: Optional[QueryError], api: str = "statistics") -> None:
        """Take note of how an admitted request ended; None means that it was answered well."""
        gate = self._gate
        result = failure.result if failure else Result.OK
        refused, throttled = result in circuit_breaker.REFUSALS, result == Result.THROTTLED
        proves = result not in UNPROVEN and not refused and not throttled
        # A refusal is on the disk before anybody can go on: its wait must outlive whatever comes next.
        if refused or throttled or gate.lone == ticket or (proves and gate.seen.refusals):
            with gate.entry(durable=refused or throttled) as entry:
                now = self._clock.now()
                circuit_breaker.note(entry, api, failure, proves or self.proven, now, self._clock.monotonic())
                if refused:
                    entry.proven_by = ""
                elif proves:
                    entry.proven_by, entry.proven_at = gate.me, now
                if gate.lone == ticket:
                    gate.release_lone(entry)
        with gate.places.lock:
            if proves or refused or throttled:
                for each in gate.passes:
                    each.proven = proves
            if throttled:
                for each in gate.passes:
                    each.closed.add(api)
            self._give_back(ticket)
            if refused or throttled:
                gate.places.wake_all()

    def end(self, learned: Dict[str, str]) -> None:
        """Finish the cycle. What it still has under way holds other processes up no more.

        Args:
            learned: project ids found in this cycle; an empty one is to be looked up again.
        """
        gate = self._gate
        with gate.places.lock:
            gate.passes.discard(self)
        hangs = gate.lone in self._mine
        if learned or hangs or self._left_out:
            with gate.entry() as entry:
                rate_limiter.leave_out(entry, self._left_out, self._clock.now())
                known = {**entry.projects, **learned}
                entry.projects = {where: project for where, project in known.items() if project}
                if hangs:
                    gate.release_lone(entry)

    def _place(self, give_up: float, at_once: int, api: str, meanwhile: Optional[Callable[[], None]]) -> int:
        """Wait for a place among the requests in flight, and take it before the store is asked for leave."""
        gate = self._gate

        def look() -> None:
            circuit_breaker.raise_if_shut(gate.seen, api, self._clock.now(), api in self.closed)
            if give_up <= self._clock.monotonic():
                raise QueryError(Result.TIMED_OUT, self._late, is_consequence=True)

        ticket = gate.places.take(give_up, at_once, lambda: gate.is_proven(self.proven, gate.seen), look, meanwhile)
        self._mine.add(ticket)
        return ticket

    def _give_back(self, ticket: int) -> None:
        self._mine.discard(ticket)
        self._gate.places.give_back(ticket)

    def _ask_leave(self, ticket: int, per_minute: int, kept: int, left: float, turn: Optional[str], api: str) -> float:
        """Take leave for one request in the store; return 0, or in how many seconds to ask again."""
        gate = self._gate
        if turn is not None:
            self._raise_if_full(turn, per_minute, kept, left)
        with gate.entry() as entry:
            now = self._clock.now()
            circuit_breaker.raise_if_shut(entry, api, now, api in self.closed)
            wait = rate_limiter.wait(entry, turn, per_minute, kept, now)
            if wait > left:
                error = rate_limiter.over_rate(entry, turn, per_minute, kept, now)
                if turn is not None:
                    rate_limiter.leave_out(entry, [turn], now)
                    if rate_limiter.is_full(entry, per_minute, kept, now):
                        self._full[per_minute, kept] = self._clock.monotonic() + wait, error
            elif not wait:
                proven = gate.is_proven(self.proven, entry)
                if not proven and not gate.claim_lone(ticket, entry, left):
                    return PAUSE
                rate_limiter.take(entry, turn, now)
        if wait > left:
            raise error
        return wait

    def _raise_if_full(self, turn: str, per_minute: int, kept: int, left: float) -> None:
        """Leave a request out without the store, once the rate was found full until after the cycle's end.

        Nothing can go before that, so it is early enough to remember all of them at the end, in one change: each
        would rewrite those before it.
        """
        until, error = self._full.get((per_minute, kept), (0.0, None))
        if error is not None and self._clock.monotonic() + left < until:
            self._left_out[turn] = None
            raise QueryError(error.result, str(error), is_consequence=True)
