"""One gate per key: what keeps a monitor from locking the key or hitting the limit.

More than five refused signatures in a row lock a key for five minutes, for everyone who uses it. So the first
request of a cycle goes alone, the rest follow only when it was accepted, and after a refusal nobody asks for a
while. All instances of a process share the gate of their key; the state shares it with the next run.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from typing import Callable, Dict, Optional

from msgspec import Struct

from .credentials import Credentials
from .errors import QueryError, Result
from .pace import Pace
from .state import Change, Document, KeyEntry, State

FIRST_WAIT = 300.0
LONGEST_WAIT = 3600.0
UNTOLD_THROTTLE = 60.0
FORGET_AFTER = 7 * 86_400.0
"""Temporary keys come and go; what is this old is dropped from the state."""
MOST_UNSETTLED = 4
"""Requests that may hang at once before the key is proven: all refused in the end, they would still not lock it."""

REFUSALS = frozenset({Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED})
UNPROVEN = frozenset({Result.PERMISSION_DENIED, Result.TIMED_OUT, Result.NETWORK, Result.SERVER_ERROR, Result.INTERNAL})
"""Failures that do not prove the signature right (a 401 may name a permission): the next request goes alone too."""


class Clock(Struct, frozen=True):
    """Hand in the time: seconds since 1970, seconds that never jump, and a way to wait."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Gate:
    """Let the requests of one key through, or say why not."""

    def __init__(self, digest: str, state: State, clock: Clock) -> None:
        self._digest = digest
        self._state = state
        self._clock = clock
        self._changed = threading.Condition()
        self._entry = KeyEntry()
        self._pace = Pace()
        self._proven = False
        self._tickets = itertools.count()
        self._in_flight: Dict[int, float] = {}

    def begin(self) -> Dict[str, str]:
        """Start a cycle with what other runs left in the state; return the project ids remembered for this key."""
        # The lock is held over the state's update too: a cycle that ends just now must be counted once, not never.
        with self._changed:
            entry = self._of(self._state.update(lambda document: None))
            now = self._clock.now()
            self._proven = False
            # No wait outlasts its longest, even if the clock was set back since.
            entry.not_before = min(entry.not_before, now + LONGEST_WAIT)
            entry.throttled_until = min(entry.throttled_until, now + LONGEST_WAIT)
            self._entry = entry
            self._pace.load(entry)
            return dict(entry.projects)

    def end(self, learned: Dict[str, str], also: Change) -> None:
        """Finish a cycle: leave for the next run what it needs, in one write together with another change.

        Args:
            learned: project ids found in this cycle; an empty one is to be looked up again.
            also: what else goes into the same write.
        """
        with self._changed:
            now = self._clock.now()

            def change(document: Document) -> None:
                document.keys = {key: entry for key, entry in document.keys.items() if entry.seen > now - FORGET_AFTER}
                entry = self._of(document)
                known = {**entry.projects, **learned}
                entry.projects = {where: project for where, project in known.items() if project}
                self._pace.save(entry, now)
                also(document)

            self._state.update(change)

    def admit(self, per_minute: int, give_up: float, turn: str = "") -> int:
        """Wait until one request may go; return its ticket, or raise QueryError when it may not go in time.

        Args:
            per_minute: how many may leave within a minute.
            give_up: monotonic seconds; from then on the request holds nobody up, even if it hangs.
            turn: names the question from cycle to cycle, so that one that was left out goes first next time.
        """
        with self._changed:
            while True:
                now, monotonic = self._clock.now(), self._clock.monotonic()
                self._raise_if_shut(now)
                left = give_up - monotonic
                if left <= 0:
                    raise QueryError(Result.TIMED_OUT, "the deadline came before its turn: raise deadline, or ask less")
                held = self._held_until() - monotonic
                if held > 0:
                    self._changed.wait(min(left, held))
                    continue
                wait = self._pace.wait(turn, per_minute, now)
                if not wait:
                    self._pace.take(turn, now)
                    ticket = next(self._tickets)
                    self._in_flight[ticket] = give_up
                    return ticket
                if wait > left:
                    raise self._over_rate(turn, per_minute, now)
                self._changed.release()
                try:
                    self._clock.sleep(wait)
                finally:
                    self._changed.acquire()

    def settle(self, ticket: int, failure: Optional[QueryError]) -> None:
        """Take note of how an admitted request ended; None means that it was answered well."""
        result = failure.result if failure else Result.OK
        with self._changed:
            del self._in_flight[ticket]
            now = self._clock.now()
            entry = self._entry
            if result in REFUSALS:
                self._proven = False
                entry.refusals += 1
                entry.cause, entry.why = int(result), str(failure)
                entry.not_before = now + min(FIRST_WAIT * 2 ** min(entry.refusals - 1, 10), LONGEST_WAIT)
                self._keep_waits()
            elif result == Result.THROTTLED:
                self._proven = False
                told = failure.retry_after if failure else None
                entry.throttled_until = now + min(UNTOLD_THROTTLE if told is None else told, LONGEST_WAIT)
                self._keep_waits()
            elif result not in UNPROVEN:
                self._proven = True
                # An answer to what left before a refusal came does not undo the refusal.
                if entry.refusals and now >= entry.not_before:
                    entry.refusals, entry.not_before, entry.cause, entry.why = 0, 0.0, 0, ""
                    self._keep_waits()
            self._changed.notify_all()

    def _held_until(self) -> float:
        """Say until when (monotonic seconds) those on their way hold up who comes next."""
        if self._proven or not self._in_flight:
            return float("-inf")
        return float("inf") if len(self._in_flight) >= MOST_UNSETTLED else max(self._in_flight.values())

    def _over_rate(self, turn: str, per_minute: int, now: float) -> QueryError:
        ahead = self._pace.ahead(turn, now)
        first = f" and {ahead} that were left out before go first" if ahead else ""
        text = (
            f"{self._pace.sent(now)} requests left within a minute{first}, max_requests_per_minute is {per_minute}; "
            "what is left out goes first in the next cycle: ask fewer ranges, service types or labels, or raise it "
            "(the cloud allows 200 per user)"
        )
        self._pace.leave_out(turn, now)
        return QueryError(Result.OVER_RATE, text)

    def _raise_if_shut(self, now: float) -> None:
        entry = self._entry
        if now < entry.not_before:
            raise QueryError(
                Result.BACKING_OFF,
                f"nothing is asked for another {(entry.not_before - now) / 60:.0f} min, so that the key is not locked; "
                f"a new key is used at once. The cloud had refused: {entry.why or 'cause not known any more'}",
                cause=Result(entry.cause or Result.KEY_REFUSED),
            )
        if now < self._entry.throttled_until:
            raise QueryError(
                Result.THROTTLED,
                f"the cloud asked to slow down, nothing is asked for {self._entry.throttled_until - now:.0f} s more: "
                "lower max_requests_per_minute if others use this account's quota too",
                cause=Result.THROTTLED,
            )

    def _keep_waits(self) -> None:
        ours = self._entry

        def change(document: Document) -> None:
            entry = self._of(document)
            entry.refusals, entry.not_before = ours.refusals, ours.not_before
            entry.cause, entry.why = ours.cause, ours.why
            entry.throttled_until = ours.throttled_until

        self._state.update(change)

    def _of(self, document: Document) -> KeyEntry:
        entry = document.keys.setdefault(self._digest, KeyEntry())
        entry.seen = self._clock.now()
        return entry


class Gates:
    """Hand out the one gate of each key."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._gates: Dict[str, Gate] = {}

    def of(self, credentials: Credentials) -> Gate:
        """Find the gate of a key, by a digest of it under the state's random salt."""
        salt = self.state.update(lambda document: None).salt
        named = "\0".join((credentials.ak, credentials.sk)).encode()
        digest = hashlib.blake2b(named, key=salt.encode()[:64], digest_size=16).hexdigest()
        with self._lock:
            return self._gates.setdefault(digest, Gate(digest, self.state, self._clock))
