"""The state of one access key, which all processes that use the key share."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from typing import ClassVar, Dict, Iterator, Optional

from msgspec import Struct

from ..clock import Clock
from ..state import Store

VERIFIED_S = 60.0
"""A success verifies the access key for so long, also for other processes."""
LONGEST_PROBE_S = 3600.0


class KeyEntry(Struct, omit_defaults=True):
    """The stored state of one access key; times are seconds since 1970.

    Attributes:
        refusals: how many in a row; `cause` is the result of the last one and `why` its text.
        not_before: when the circuit breaker closes.
        clock_off: seconds by which this machine's clock was ahead of the cloud's at the refusal.
        clock_zero: the wall clock's time when the monotonic clock was 0; it moves when the clock is set.
        throttled: by API, until when a 429 lasts.
        sent: requests by second; a leased place counts at the last second at which it may be used.
        background: those of them that are background.
        deferred: by query key, when the rate first left no room for it.
        probe_until: when the probe in flight must be over.
        verified_by: the process that last verified the key, at `verified_at`.
        projects: project ids by where they were looked up.
    """

    max_age_s: ClassVar[float] = 7 * 86_400.0  # temporary keys come and go

    refusals: int = 0
    not_before: float = 0.0
    cause: int = 0
    why: str = ""
    clock_off: Optional[float] = None
    clock_zero: float = 0.0
    throttled: Dict[str, float] = {}
    sent: Dict[int, int] = {}
    background: Dict[int, int] = {}
    deferred: Dict[str, float] = {}
    probe_until: float = 0.0
    verified_by: str = ""
    verified_at: float = 0.0
    projects: Dict[str, str] = {}


class KeyState:
    """The entry of one access key in the state.

    Attributes:
        name: the key's digest.
        entry: the entry as of the last transaction.
        verified_until: when the last success of this process ends to verify the key; monotonic.
    """

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.name = name
        self.store = store
        self.entry = KeyEntry()
        self.verified_until = -math.inf
        self._clock = clock
        self._process = os.urandom(8).hex()
        self._probe_until = 0.0

    @contextlib.contextmanager
    def transaction(self, durable: bool = False) -> Iterator[KeyEntry]:
        """Change the entry in one transaction."""
        with self.store.entry(KeyEntry, self.name, durable) as entry:
            self.entry = entry
            yield entry

    def is_verified(self) -> bool:
        """Return true if more than one request may be in flight, also where another process verified the key."""
        entry, now = self.entry, self._clock.now()
        elsewhere = entry.verified_by not in ("", self._process) and now - VERIFIED_S < entry.verified_at <= now
        # Without the file, the refusals of other processes cannot be known.
        return (elsewhere or self._clock.monotonic() < self.verified_until) and not self.store.unreadable

    def record_verification(self, entry: KeyEntry, verified: bool) -> None:
        """Store whether a request has just verified the key or was refused, for other processes."""
        entry.verified_by, entry.verified_at = (self._process, self._clock.now()) if verified else ("", 0.0)

    def claim_probe(self, entry: KeyEntry, seconds: float) -> bool:
        """Try to be the only one, among all processes, to send a request; for so many seconds at most.

        The kernel frees the lock of a process that died. The entry ends the claim of a process that hangs.
        """
        now = self._clock.now()
        # A claim beyond the longest wait was made under a clock that has been set back since.
        overdue = not now < entry.probe_until <= now + LONGEST_PROBE_S
        if self.store.acquire(self.name) or overdue:
            entry.probe_until = self._probe_until = now + min(seconds, LONGEST_PROBE_S)
            return True
        return False

    def release_probe(self, entry: KeyEntry) -> None:
        """End the claim, unless another process has taken it over."""
        if entry.probe_until == self._probe_until:
            entry.probe_until = 0.0
        self.store.release(self.name)


class Salt(Struct, omit_defaults=True):
    """The random salt of the digests."""

    value: str = ""


def digest(store: Store, secret: str) -> str:
    """Name a secret by a digest of it."""
    # Not durable: a refusal that is durable writes all that came before it.
    with store.entry(Salt, "") as salt:
        salt.value = salt.value or os.urandom(16).hex()
    return hashlib.blake2b(secret.encode(), key=salt.value.encode()[:64], digest_size=16).hexdigest()
