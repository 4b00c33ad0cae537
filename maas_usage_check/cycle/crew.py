"""Work that may hang, done in threads, and back in time all the same.

Daemon threads, because one that hangs must not keep the process: the standard thread pool joins its threads at
exit. They only hand in results; the caller alone decides when it is over.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections import deque
from typing import Any, Callable, Dict, Hashable, Mapping, Optional, TypeVar, Union

from ..clock import Clock
from ..errors import MaasError

MOMENT = 0.05
"""Seconds after a stop for what has ended and is just being handed in."""
SLOW = 60.0
"""Seconds after which a thread that was left behind no longer passes for slow: each request ends long before."""

# When each was left behind. Of the whole process: threads outlive their cycle.
_LEFT: weakref.WeakKeyDictionary[threading.Thread, float] = weakref.WeakKeyDictionary()

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Crew:
    """Do work in threads, and wait for it until a time, or until it is told to stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = False
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def stop(self) -> None:
        """Wait for nothing any more. Made for signal handlers: this queue's put can be interrupted by itself."""
        self._stopped = True
        self._done.put(None)

    def do(
        self,
        works: Mapping[K, Callable[[], T]],
        workers: int = 1,
        give_up: Optional[float] = None,
        progress: Callable[[], None] = lambda: None,
    ) -> Dict[K, Union[T, Exception]]:
        """Do all of it with so many workers, and return what has ended, well or not, by `give_up`.

        Args:
            works: what to do, by name.
            workers: how many threads.
            give_up: monotonic seconds; None waits without end.
            progress: called as each one ends.
        """
        this, waiting, busy = object(), deque(works.items()), set()

        def work() -> None:
            while waiting:
                try:
                    name, act = waiting.popleft()
                except IndexError:  # another worker was faster
                    return
                busy.add(threading.current_thread())
                try:
                    self._done.put((this, name, act()))
                except Exception as error:
                    self._done.put((this, name, _light(error)))
                busy.discard(threading.current_thread())

        if self._stopped:
            return {}
        if works and not self._started(work, min(workers, len(works))):
            work()  # slower, but it gets done
        ended: Dict[K, Union[T, Exception]] = {}
        while len(ended) < len(works):
            left = None if give_up is None else max(0.0, give_up - self._clock.monotonic())
            try:
                result = self._done.get(timeout=left)
            except queue.Empty:
                break
            if result is None:
                waiting.clear()
                give_up = self._clock.monotonic() + MOMENT
            elif result[0] is this:  # not what an earlier work handed in late
                ended[result[1]] = result[2]
                progress()
        waiting.clear()
        if len(ended) < len(works):
            _LEFT.update(dict.fromkeys(busy, self._clock.monotonic()))
        return ended

    @staticmethod
    def _started(work: Callable[[], None], count: int) -> int:
        """Start so many threads, or as many as the system lets this user have."""
        for started in range(count):
            try:
                threading.Thread(target=work, daemon=True, name="maas-usage-check").start()
            except RuntimeError:
                return started
        return count


def _light(error: Exception) -> Exception:
    # Where one was raised on purpose tells nobody anything, and 2,000 that are left out would keep 12,000 frames.
    return error.with_traceback(None) if isinstance(error, MaasError) else error


def hanging(monotonic: float) -> int:
    """Count the threads of this process that were left behind over a minute ago and still hang."""
    return sum(thread.is_alive() and monotonic - at > SLOW for thread, at in list(_LEFT.items()))
