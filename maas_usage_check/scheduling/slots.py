"""How many requests of a key may be under way at once in this process, and who waits for one of these places."""

from __future__ import annotations

import itertools
import threading
from typing import Callable, Dict, List, NamedTuple, Optional

from ..clock import Clock


class Waiter(NamedTuple):
    """One request that waits for a place."""

    awake: threading.Condition
    at_once: int
    is_proven: Callable[[], bool]


class Places:
    """Hand out places, the longest waiting first; `lock` guards what their users share too."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.in_flight: Dict[int, float] = {}
        self._waiting: List[Waiter] = []
        self._most = 1
        self._tickets = itertools.count()
        self._clock = clock

    def take(
        self,
        give_up: float,
        at_once: int,
        is_proven: Callable[[], bool],
        look: Callable[[], None],
        meanwhile: Optional[Callable[[], None]] = None,
    ) -> int:
        """Wait for a place and take it; return its ticket.

        Args:
            give_up: monotonic seconds; from then on the request holds nobody up, even if it hangs.
            at_once: how many may be under way when the key is proven.
            is_proven: tells whether more than one may be.
            look: raises what ends the wait; it must do so from `give_up` on.
            meanwhile: called once where another must prove the key first, before it is waited for.
        """
        if meanwhile is not None:
            with self.lock:
                look()
                if is_proven() or not self._under_way():
                    return self._take(give_up, at_once, is_proven, look)
            meanwhile()
        return self._take(give_up, at_once, is_proven, look)

    def _take(self, give_up: float, at_once: int, is_proven: Callable[[], bool], look: Callable[[], None]) -> int:
        with self.lock:
            self._most = max(self._most, at_once)
            waiter = Waiter(threading.Condition(self.lock), at_once, is_proven)
            self._waiting.append(waiter)
            try:
                while True:
                    look()
                    now = self._clock.monotonic()
                    held = self._held_until(is_proven(), at_once)
                    if held <= now:
                        break
                    waiter.awake.wait(min(give_up, held) - now)
            except BaseException:
                self._waiting.remove(waiter)
                self.wake()  # the place for which this one was woken is another's
                raise
            self._waiting.remove(waiter)
            ticket = next(self._tickets)
            self.in_flight[ticket] = give_up
            return ticket

    def is_crowded(self) -> bool:
        """Tell whether as many wait as may be under way: to wait twice gains little."""
        return len(self._waiting) >= self._most

    def give_back(self, ticket: int) -> None:
        """Give a place back."""
        with self.lock:
            del self.in_flight[ticket]
            self.wake()

    def wake(self) -> None:
        """Wake those for whom there is a place.

        To wake all at each request of 200 instances would take longer than to ask.
        """
        count = len(self._under_way())
        for waiter in self._waiting:
            if count >= self._most:
                break
            if not count or (count < waiter.at_once and waiter.is_proven()):
                waiter.awake.notify()
                count += 1

    def wake_all(self) -> None:
        """Wake all who wait, to find out that there is nothing to wait for."""
        for waiter in self._waiting:
            waiter.awake.notify()

    def _held_until(self, proven: bool, at_once: int) -> float:
        under_way = self._under_way()
        if not under_way or (proven and len(under_way) < at_once):
            return float("-inf")
        return min(under_way) if proven else max(under_way)

    def _under_way(self) -> List[float]:
        # One that hangs past its deadline counts no more: it would block the key until a restart.
        now = self._clock.monotonic()
        return [give_up for give_up in self.in_flight.values() if give_up > now]
