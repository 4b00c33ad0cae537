"""The state of one access key, which all processes that use the key share."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import ClassVar, Dict, Iterator, Optional

from msgspec import Struct
from msgspec.structs import replace

from ..clock import Clock
from ..cloud.credentials import Credentials
from ..state import Store

VERIFIED_S = 60.0
"""A success verifies the access key for so long, also for other processes."""
LONGEST_PROBE_S = 3600.0


STORED_NAMES = {
    "background": "spare",
    "deferred": "left_out",
    "probe_until": "lone_until",
    "verified_by": "proven_by",
    "verified_at": "proven_at",
}


class KeyEntry(Struct, omit_defaults=True, rename=STORED_NAMES):
    """The stored state of one access key; times are seconds since 1970.

    Attributes:
        refusals: how many in a row; `cause` is the Result of the last one and `why` its text.
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

    def merge(self, unwritten: KeyEntry) -> KeyEntry:
        """Return the unwritten entry with the longer waits and the higher counts of both."""
        waits = ("refusals", "not_before", "cause", "why", "clock_off", "clock_zero")
        longer = max(self, unwritten, key=lambda entry: entry.not_before)
        return replace(
            unwritten,
            **{name: getattr(longer, name) for name in waits},
            throttled=_larger(self.throttled, unwritten.throttled),
            sent=_larger(self.sent, unwritten.sent),
            background=_larger(self.background, unwritten.background),
            projects={**self.projects, **unwritten.projects},
        )


def _larger(one: Dict, other: Dict) -> Dict:  # type: ignore[type-arg] # of any key, and of int or float
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}


class Salt(Struct, omit_defaults=True):
    """The random salt of the digests that name access keys in the state."""

    max_age_s: ClassVar[float] = float("inf")

    value: str = ""

    def merge(self, unwritten: Salt) -> Salt:
        """Return the stored salt: other processes use it already."""
        return self if self.value else unwritten


def key_name(store: Store, credentials: Credentials) -> str:
    """Name an access key by a digest of it under the state's random salt."""
    # Not durable: a refusal that is durable writes all that came before it.
    with store.entry(Salt, "") as salt:
        salt.value = salt.value or os.urandom(16).hex()
    named = "\0".join((credentials.ak, credentials.sk)).encode()
    return hashlib.blake2b(named, key=salt.value.encode()[:64], digest_size=16).hexdigest()


class KeyState:
    """The entry of one access key in the state.

    Attributes:
        name: the key's digest.
        entry: the entry as of the last transaction.
    """

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.name = name
        self.store = store
        self.entry = KeyEntry()
        self._clock = clock
        self._process = os.urandom(8).hex()
        self._probe_until = 0.0

    @contextlib.contextmanager
    def transaction(self, durable: bool = False) -> Iterator[KeyEntry]:
        """Change the entry in one transaction."""
        with self.store.entry(KeyEntry, self.name, durable) as entry:
            self.entry = entry
            yield entry

    def verified_elsewhere(self, entry: KeyEntry) -> bool:
        """Return true if another process verified the key within the last minute."""
        now = self._clock.now()
        return entry.verified_by not in ("", self._process) and now - VERIFIED_S < entry.verified_at <= now

    def record_verification(self, entry: KeyEntry, verified: bool) -> None:
        """Tell other processes whether a request has just verified the key, or was refused."""
        entry.verified_by, entry.verified_at = (self._process, self._clock.now()) if verified else ("", 0.0)

    def claim_probe(self, entry: KeyEntry, seconds: float) -> bool:
        """Try to be the only one, among all processes, to send a request; for so many seconds at most.

        The kernel frees the lock of a process that died. The entry ends the claim of a process that hangs.
        """
        now = self._clock.now()
        # A claim beyond the longest wait was made under a clock that has been set back since.
        overdue = not now < entry.probe_until <= now + LONGEST_PROBE_S
        if self.store.acquire(self.name) or overdue:
            entry.probe_until = self._probe_until = min(now + seconds, now + LONGEST_PROBE_S)
            return True
        return False

    def release_probe(self, entry: KeyEntry) -> None:
        """End the claim, unless another process has taken it over."""
        if entry.probe_until == self._probe_until:
            entry.probe_until = 0.0
        self.store.release(self.name)
