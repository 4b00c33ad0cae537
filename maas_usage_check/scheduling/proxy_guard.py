"""The circuit breaker of proxies: a password that a proxy refuses again and again locks the account of its user."""

from __future__ import annotations

import math
import threading
from typing import Callable, Dict, TypeVar
from urllib.parse import SplitResult

from ..clock import Clock
from ..cloud.outcomes import PROXY, Outcome
from ..errors import QueryError, Result
from ..state import Store
from . import circuit_breaker
from .key_state import VERIFIED_S, KeyState, digest

ANSWER_S = 2.0
"""While a password is not verified, tunnels are opened one by one; but each waits only so long for the one before."""
T = TypeVar("T")


class ProxyGuard:
    """Open tunnels, unless the proxy refused our password: after that none for 5 minutes, then 10, up to 60; see Guard.

    All processes share the waits. A corrected password is another entry of the state, and so has none.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._verified_until: Dict[SplitResult, float] = {}
        self._unverified = threading.Lock()

    def __call__(self, proxy: SplitResult, connect: Callable[[], T]) -> T:
        """Raise QueryError (PROXY_REFUSED) if the proxy refuses, and while it must not be tried again."""
        if self._is_verified(proxy):
            return self._connect(proxy, connect)
        is_alone = self._unverified.acquire(timeout=ANSWER_S)
        try:
            if not self._is_verified(proxy):
                self._raise_if_open(proxy)
            return self._connect(proxy, connect)
        finally:
            if is_alone:
                self._unverified.release()

    def _is_verified(self, proxy: SplitResult) -> bool:
        return self._clock.monotonic() < self._verified_until.get(proxy, -math.inf)

    def _connect(self, proxy: SplitResult, connect: Callable[[], T]) -> T:
        try:
            opened = connect()
        except QueryError as error:
            if error.result == Result.PROXY_REFUSED:
                self._verified_until.pop(proxy, None)
                self._record(proxy, error)
            raise
        if not self._is_verified(proxy):
            self._verified_until[proxy] = self._clock.monotonic() + VERIFIED_S
            self._record(proxy, None)
        return opened

    def _raise_if_open(self, proxy: SplitResult) -> None:
        now = self._clock.now()
        with self._state(proxy).transaction() as entry:
            entry.not_before = min(entry.not_before, now + circuit_breaker.LONGEST_WAIT_S)  # the clock was set back
        circuit_breaker.raise_if_open(entry, "", now)

    def _record(self, proxy: SplitResult, outcome: Outcome) -> None:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        with self._state(proxy).transaction(durable=outcome is not None) as entry:
            circuit_breaker.record(entry, "", outcome, now, monotonic, refuser=PROXY)

    def _state(self, proxy: SplitResult) -> KeyState:
        return KeyState(digest(self._store, proxy.geturl()), self._store, self._clock)
