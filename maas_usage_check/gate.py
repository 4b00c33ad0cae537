"""One gate per key: what keeps a monitor from locking the key or hitting the limit.

More than five refused signatures in a row lock a key for five minutes, for everyone who uses it. So the first
request of a cycle goes alone, the rest follow only when it was accepted, and after a refusal nobody asks for a
while. All instances of a process share the gate of their key; the state shares it with the next run.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Callable, Dict, Optional

from msgspec import Struct

from .credentials import Credentials
from .errors import QueryError, Result
from .state import Change, Document, KeyEntry, State

FIRST_WAIT = 300.0
LONGEST_WAIT = 3600.0
MINUTE = 61.0
"""A minute, and the second within which a request was counted."""
UNTOLD_THROTTLE = 60.0
FORGET_AFTER = 7 * 86_400.0
"""Temporary keys come and go; what is this old is dropped from the state."""

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
        self._sent: Dict[int, int] = {}
        self._unsaved: Dict[int, int] = {}
        self._proven = False
        self._in_flight = 0

    def begin(self) -> Dict[str, str]:
        """Start a cycle with what other runs left in the state; return the project ids remembered for this key."""
        entry = self._of(self._state.update(lambda document: None))
        now = self._clock.now()
        with self._changed:
            self._proven = False
            # No wait outlasts its longest, even if the clock was set back since.
            entry.not_before = min(entry.not_before, now + LONGEST_WAIT)
            entry.throttled_until = min(entry.throttled_until, now + LONGEST_WAIT)
            self._entry = entry
            self._sent = entry.sent
        return dict(entry.projects)

    def end(self, projects: Dict[str, str], also: Change) -> None:
        """Finish a cycle: leave for the next run what it needs, in one write together with another change."""
        now = self._clock.now()
        with self._changed:
            unsaved, self._unsaved = self._unsaved, {}
            self._sent = _recent(_sum(self._sent, unsaved), now)

        def change(document: Document) -> None:
            document.keys = {key: entry for key, entry in document.keys.items() if entry.seen > now - FORGET_AFTER}
            entry = self._of(document)
            entry.sent, entry.projects = _recent(_sum(entry.sent, unsaved), now), projects
            also(document)

        self._state.update(change)

    def admit(self, per_minute: int, give_up: float) -> None:
        """Wait until one request may go; raise QueryError when it may not before `give_up` (monotonic seconds)."""
        with self._changed:
            while True:
                now = self._clock.now()
                self._raise_if_shut(now)
                left = give_up - self._clock.monotonic()
                if left <= 0:
                    raise QueryError(Result.TIMED_OUT, "the deadline came before its turn: raise deadline, or ask less")
                if self._in_flight and not self._proven:
                    self._changed.wait(left)
                    continue
                sent = _recent(_sum(self._sent, self._unsaved), now)
                if sum(sent.values()) < per_minute:
                    self._unsaved[int(now)] = self._unsaved.get(int(now), 0) + 1
                    self._in_flight += 1
                    return
                wait = min(sent) + MINUTE - now
                if wait > left:
                    raise QueryError(
                        Result.OVER_RATE,
                        f"{sum(sent.values())} requests left within a minute, max_requests_per_minute is {per_minute}: "
                        "ask fewer ranges, service types or labels, or raise it (the cloud allows 200 per user)",
                    )
                self._changed.release()
                try:
                    self._clock.sleep(wait)
                finally:
                    self._changed.acquire()

    def settle(self, failure: Optional[QueryError]) -> None:
        """Take note of how an admitted request ended; None means that it was answered well."""
        result = failure.result if failure else Result.OK
        with self._changed:
            self._in_flight -= 1
            now = self._clock.now()
            entry = self._entry
            if result in REFUSALS:
                self._proven = False
                entry.refusals += 1
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
                    entry.refusals, entry.not_before = 0, 0.0
                    self._keep_waits()
            self._changed.notify_all()

    def _raise_if_shut(self, now: float) -> None:
        if now < self._entry.not_before:
            raise QueryError(
                Result.BACKING_OFF,
                "the cloud refused this key, so that it is not locked nothing is asked for another "
                f"{(self._entry.not_before - now) / 60:.0f} min: put the right key in place, it is used at once",
            )
        if now < self._entry.throttled_until:
            raise QueryError(
                Result.THROTTLED,
                f"the cloud asked to slow down, nothing is asked for {self._entry.throttled_until - now:.0f} s more: "
                "lower max_requests_per_minute if others use this account's quota too",
            )

    def _keep_waits(self) -> None:
        ours = self._entry

        def change(document: Document) -> None:
            entry = self._of(document)
            entry.refusals, entry.not_before = ours.refusals, ours.not_before
            entry.throttled_until = ours.throttled_until

        self._state.update(change)

    def _of(self, document: Document) -> KeyEntry:
        entry = document.keys.setdefault(self._digest, KeyEntry())
        entry.seen = self._clock.now()
        return entry


def _sum(one: Dict[int, int], other: Dict[int, int]) -> Dict[int, int]:
    return {second: one.get(second, 0) + other.get(second, 0) for second in {*one, *other}}


def _recent(sent: Dict[int, int], now: float) -> Dict[int, int]:
    # What lies ahead of now comes from a clock that was set back: it would block for ever.
    return {second: count for second, count in sent.items() if now - MINUTE < second <= now}


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
