"""One gate per key: what keeps a monitor from locking the key or hitting the limit.

More than five refused signatures in a row lock a key for five minutes, for everyone who uses it. So the first
request of a cycle goes alone, the rest follow only when it was accepted, and after a refusal nobody asks for a
while. What decides is the key's entry in the store, changed in one transaction for every request: instances,
threads, runs, and processes that run at once all keep to it together.
"""

from __future__ import annotations

import contextlib
import os
from typing import Dict, Iterator, Optional, Set

from ..clock import Clock
from ..state import Store
from . import circuit_breaker, probe
from .key_state import KeyEntry
from .passes import Pass
from .slots import Places


class Gate:
    """Hold what the cycles of this process share of one key: its newest entry, and which requests are under way."""

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.me = os.urandom(8).hex()
        self.places = Places(clock)
        self.in_flight = self.places.in_flight
        self.seen = KeyEntry()
        self.passes: Set[Pass] = set()
        self.lone: Optional[int] = None
        self.planned: Dict[str, int] = {}
        self.name = name
        self._store = store
        self._clock = clock

    def begin(self, who: str = "", planned: int = 0, late: str = "not sent: its time was up") -> Pass:
        """Start a cycle of somebody who plans so many requests that must not be left out.

        Args:
            who: names them.
            planned: how many requests.
            late: the error of a request that could not be sent in time.
        """
        with self.entry() as entry:
            circuit_breaker.mend_clock(entry, self._clock.now(), self._clock.monotonic())
        started = Pass(self, self._clock, late)
        with self.places.lock:
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
        if self._store.unreadable:
            return False
        return by_cycle or probe.is_proven(entry, self.me, self._clock.now())

    def claim_lone(self, ticket: int, entry: KeyEntry, seconds: float) -> bool:
        """Try to be the one who asks alone, among all processes, for so many seconds at most."""
        now = self._clock.now()
        if not probe.claim(self._store, self.name, entry, now + seconds, now):
            return False
        self.lone = ticket
        return True

    def release_lone(self, entry: KeyEntry) -> None:
        """Let another process ask alone."""
        self.lone = None
        probe.release(self._store, self.name, entry)
