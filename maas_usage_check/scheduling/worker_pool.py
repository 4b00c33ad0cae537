"""Work that may hang, done in threads, and back in time all the same.

The threads only hand in results; the caller alone decides when it is over.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import weakref
from collections import deque
from typing import Callable, Dict, Generic, Hashable, Mapping, Optional, Set, TypeVar, Union

from ..clock import Clock
from ..errors import MaasError
from ..queue_get import next_of
from .threads import run_apart

AGAIN = 1.0
"""Seconds until it is seen again whether more workers would help."""
MOMENT = 0.05
"""Seconds after a stop for what has ended and is just being handed in."""
SLOW = 60.0
"""Seconds after which work that was left behind no longer passes for slow: each request ends long before."""
STOPPED, ENDED = "stopped", "ended"

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Crew:
    """Do work in threads, and wait for it until a time, or until it is told to stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = False
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def stop(self) -> None:
        """Wait for nothing any more. Made for signal handlers: this queue's put can be interrupted by itself."""
        self._stopped = True
        self._told.put(STOPPED)

    def do(
        self,
        works: Mapping[K, Callable[[], T]],
        workers: int = 1,
        give_up: Optional[float] = None,
        progress: Callable[[], None] = lambda: None,
        is_crowded: Callable[[], bool] = lambda: False,
    ) -> Dict[K, Union[T, Exception]]:
        """Do all of it, and return what has ended, well or not, by `give_up`.

        Args:
            works: what to do, by name.
            workers: how many threads at most.
            give_up: monotonic seconds; None waits without end.
            progress: called as each one ends, by several workers at once, perhaps late; must not raise.
            is_crowded: tells whether one more thread would only wait.
        """
        if self._stopped or not works:
            return {}
        task = _Task(works, workers, progress, is_crowded, self._told)
        if not run_apart(task.work):
            task.work()  # slower, but it gets done
        while not task.is_over():
            left = math.inf if give_up is None else max(0.0, give_up - self._clock.monotonic())
            told = next_of(self._told, min(left, AGAIN))
            if told == STOPPED:
                task.waiting.clear()
                give_up = self._clock.monotonic() + MOMENT
            elif told is None and left <= AGAIN:
                break
            else:
                task.hire()  # the crowd may have gone while every worker hangs
        return task.leave(self._clock.monotonic())


class _Doing:
    """One piece of work under way: it lives as long as a thread is in it."""


# When each was left behind. Of the whole process: what hangs outlives its cycle.
_left: weakref.WeakKeyDictionary[_Doing, float] = weakref.WeakKeyDictionary()
_left_lock = threading.Lock()


class _Task(Generic[K, T]):
    """What a crew was given to do: the pieces that wait, those under way, and how the others ended."""

    def __init__(
        self,
        works: Mapping[K, Callable[[], T]],
        workers: int,
        progress: Callable[[], None],
        is_crowded: Callable[[], bool],
        told: queue.SimpleQueue[str],
    ) -> None:
        self.waiting = deque(works.items())
        self._count = len(works)
        self._more = deque(range(1, workers))
        self._busy: Set[_Doing] = set()
        self._ended: Dict[K, Union[T, Exception]] = {}
        self._progress = progress
        self._is_crowded = is_crowded
        self._told = told

    def work(self) -> None:
        """Do piece after piece, and have more workers help."""
        while True:
            if len(self.waiting) > 1:
                self.hire()
            try:
                name, act = self.waiting.popleft()
            except IndexError:  # another worker was faster
                return
            self._ended[name] = self._outcome(act)
            self._progress()
            if self.is_over():  # to wake the caller for each would take longer than many a piece
                self._told.put(ENDED)

    def hire(self) -> None:
        """Have one more worker help, where that would be of use."""
        if self.waiting and self._more and not self._is_crowded():
            with contextlib.suppress(IndexError):  # another worker was faster
                self._more.pop()
                run_apart(self.work)

    def is_over(self) -> bool:
        """Tell whether all of it has ended."""
        return len(self._ended) == self._count

    def leave(self, now: float) -> Dict[K, Union[T, Exception]]:
        """Begin no more, and leave what is under way behind; return what has ended."""
        self.waiting.clear()
        if not self.is_over():
            with _left_lock:
                _left.update(dict.fromkeys(self._busy, now))
        return dict(self._ended)  # what ends from now on is too late

    def _outcome(self, act: Callable[[], T]) -> Union[T, Exception]:
        doing = _Doing()
        self._busy.add(doing)
        try:
            return act()
        except Exception as error:
            return _light(error)
        finally:
            self._busy.discard(doing)
            del doing  # the frame may live on in an error's traceback


def _light(error: Exception) -> Exception:
    # Where one was raised on purpose tells nobody anything, and 2,000 that are left out would keep 12,000 frames.
    return error.with_traceback(None) if isinstance(error, MaasError) else error


def hanging(monotonic: float) -> int:
    """Count what this process left behind over a minute ago and is still being done."""
    with _left_lock:
        return sum(monotonic - at > SLOW for at in _left.values())
