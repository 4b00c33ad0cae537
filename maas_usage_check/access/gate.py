"""One gate per key: what keeps a monitor from locking the key or hitting the limit.

More than five refused signatures in a row lock a key for five minutes, for everyone who uses it. So the first
request of a cycle goes alone, the rest follow only when it was accepted, and after a refusal nobody asks for a
while. What decides is the key's entry of the state, read and written under its lock for every request: instances,
threads, runs, and processes that run at once all keep to it together.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from typing import Callable, Dict, List, Optional

from ..clock import Clock
from ..errors import QueryError, Result
from ..store.store import Change, Document, KeyEntry, State
from . import breaker as waits
from . import lone_request as probe
from . import rate as pace
from .credentials import Credentials

FORGET_AFTER = 7 * 86_400.0
"""Temporary keys come and go; what is this old is dropped from the state."""
HARMLESS = 5
"""Requests that may be under way at once: all refused in the end, they would still not lock the key."""
PROBE_PAUSE = 0.05
"""Seconds until another process's lone request is looked at again."""

UNPROVEN = frozenset({Result.PERMISSION_DENIED, Result.TIMED_OUT, Result.NETWORK, Result.SERVER_ERROR, Result.INTERNAL})
"""Failures that do not prove the signature right (a 401 may name a permission): the next request goes alone too."""


class Gate:
    """Let the requests of one key through, or say why not."""

    def __init__(self, digest: str, state: State, clock: Clock) -> None:
        self._digest = digest
        self._state = state
        self._clock = clock
        self._name = probe.new_name()
        self._changed = threading.Condition()
        self._seen = KeyEntry()
        self._proven = False
        self._closed = False
        self._tickets = itertools.count()
        self._in_flight: Dict[int, float] = {}

    def begin(self) -> Dict[str, str]:
        """Start a cycle; return the project ids remembered for this key."""
        with self._changed:
            self._proven = self._closed = False
            self._update(lambda entry: waits.mend_clock(entry, self._clock.now()))
            return dict(self._seen.projects)

    def end(self, learned: Dict[str, str], also: Change) -> None:
        """Finish a cycle: leave for the next run what it needs, in one write together with another change.

        Args:
            learned: project ids found in this cycle; an empty one is to be looked up again.
            also: what else goes into the same write.
        """

        def change(document: Document) -> None:
            oldest = self._clock.now() - FORGET_AFTER
            document.keys = {key: entry for key, entry in document.keys.items() if entry.seen > oldest}
            entry = self._of(document)
            known = {**entry.projects, **learned}
            entry.projects = {where: project for where, project in known.items() if project}
            probe.release(entry, self._name)
            also(document)

        with self._changed:
            self._state.update(change)

    def admit(self, per_minute: int, give_up: float, turn: str = "", at_once: int = HARMLESS) -> int:
        """Wait until one request may go; return its ticket, or raise QueryError when it may not go in time.

        Args:
            per_minute: how many may leave within a minute.
            give_up: monotonic seconds; from then on the request holds nobody up, even if it hangs.
            turn: names the question from cycle to cycle, so that one that was left out goes first next time.
            at_once: how many may be under way when the key is proven, if more than are harmless.
        """
        with self._changed:
            while True:
                monotonic = self._clock.monotonic()
                waits.raise_if_shut(self._seen, self._clock.now(), self._closed)
                left = give_up - monotonic
                if left <= 0:
                    raise QueryError(Result.TIMED_OUT, "the deadline came before its turn: raise deadline, or ask less")
                held = self._held_until(max(at_once, HARMLESS)) - monotonic
                if held > 0:
                    self._changed.wait(min(left, held))
                    continue
                wait = self._ask_leave(per_minute, left, turn)
                if not wait:
                    ticket = next(self._tickets)
                    self._in_flight[ticket] = give_up
                    return ticket
                self._changed.release()
                try:
                    self._clock.sleep(min(wait, left))
                finally:
                    self._changed.acquire()

    def settle(self, ticket: int, failure: Optional[QueryError]) -> None:
        """Take note of how an admitted request ended; None means that it was answered well."""
        result = failure.result if failure else Result.OK
        with self._changed:
            del self._in_flight[ticket]
            if result not in UNPROVEN:
                self._proven = result not in waits.REFUSALS and result != Result.THROTTLED
            self._closed = self._closed or result == Result.THROTTLED

            def change(entry: KeyEntry) -> None:
                waits.note(entry, failure, self._proven, self._clock.now())
                probe.release(entry, self._name)

            told = result in waits.REFUSALS or result == Result.THROTTLED
            if told or self._seen.probe == self._name or (self._proven and self._seen.refusals):
                self._update(change, durable=told)
            self._changed.notify_all()

    def _ask_leave(self, per_minute: int, left: float, turn: str) -> float:
        """Take leave for one request in the state; return 0, or in how many seconds to ask again."""
        found: List[float] = []

        def change(entry: KeyEntry) -> None:
            now = self._clock.now()
            waits.raise_if_shut(entry, now, self._closed)
            if not self._proven and probe.is_anothers(entry, self._name, now):
                found.append(PROBE_PAUSE)
                return
            found.append(pace.wait(entry, turn, per_minute, now))
            if found[0] > left:
                pace.leave_out(entry, turn, now)
            elif not found[0]:
                pace.take(entry, turn, now)
                if not self._proven:
                    probe.claim(entry, self._name, now + min(left, waits.LONGEST_WAIT))

        self._update(change)
        if found[0] > max(left, PROBE_PAUSE):
            raise self._over_rate(turn, per_minute)
        return found[0]

    def _held_until(self, at_once: int) -> float:
        """Say until when (monotonic seconds) those on their way hold up who comes next."""
        if not self._in_flight or (self._proven and len(self._in_flight) < at_once):
            return float("-inf")
        return float("inf") if len(self._in_flight) >= HARMLESS - 1 else max(self._in_flight.values())

    def _over_rate(self, turn: str, per_minute: int) -> QueryError:
        now = self._clock.now()
        ahead = pace.ahead(self._seen, turn, now)
        first = f" and {ahead} that were left out before go first" if ahead else ""
        return QueryError(
            Result.OVER_RATE,
            f"{pace.sent(self._seen, now)} requests left within a minute{first}, max_requests_per_minute is "
            f"{per_minute}; what is left out goes first in the next cycle: ask fewer ranges, service types or labels, "
            "or raise it (the cloud allows 200 per user)",
        )

    def _update(self, change: Callable[[KeyEntry], None], durable: bool = False) -> None:
        self._seen = self._of(self._state.update(lambda document: change(self._of(document)), durable))

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
