"""The one way to wait, and the one way to leave behind what hangs."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable, Dict, Generic, Optional, TypeVar, Union

from .clock import Clock
from .errors import internal_error

POLL_S = 0.2
"""A stop, a deadline or a jump of the clock is noticed after so many seconds at most."""
STATE_STOP_S = 0.3
OUTPUT_STOP_S = 0.3
"""After SIGTERM a process ends in POLL_S + STATE_STOP_S + OUTPUT_STOP_S = 0.8 s, whatever hangs."""
HUNG_S = 60.0
"""After so many seconds, work that was left behind counts as hung: each request ends long before."""
NAME = "maas-usage-check"

T = TypeVar("T")


def wait_for(
    event: threading.Event,
    deadline: Callable[[], float],
    is_cancelled: Callable[[], bool] = lambda: False,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until an event is set, a deadline has passed (monotonic seconds) or the wait is cancelled.

    Return True if the event is set. `is_cancelled` reads a flag that a signal handler may set: an event set by a
    handler could deadlock with the wait that it interrupts.
    """
    while not event.is_set():
        left_s = deadline() - monotonic()
        if left_s <= 0 or is_cancelled():
            break
        event.wait(min(left_s, POLL_S))
    return event.is_set()


def start_thread(work: Callable[[], None]) -> bool:
    """Start a daemon thread; return False where the system allows no more threads.

    An exception ends the thread without a traceback, whose text may contain a secret.
    """

    def run() -> None:
        with contextlib.suppress(BaseException):
            work()

    try:
        threading.Thread(target=run, daemon=True, name=NAME).start()
    except RuntimeError:
        return False
    return True


def is_interrupt(error: BaseException) -> bool:
    """Return True for Ctrl-C, which must end the process: work may run in the main thread, see Watched."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class Watched(Generic[T]):
    """Work in a daemon thread, or in this one where no thread can be started.

    Attributes:
        outcome: the result or the exception; None until the work has ended.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._ended = threading.Event()
        self.outcome: Optional[Union[T, Exception]] = None
        if not start_thread(self._run):
            self._run()

    def wait(
        self, clock: Clock, deadline: Callable[[], float], is_cancelled: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait as `wait_for` does; leave the work behind where it has not ended."""
        ended = wait_for(self._ended, deadline, is_cancelled, clock.monotonic)
        if not ended:
            leave_behind(self, clock.monotonic())
            if self._ended.is_set():  # at this very moment
                came_back(self)
        return ended

    def result(self) -> T:
        """Wait without end; return the result or raise the exception."""
        self._ended.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome  # type: ignore[return-value] # it has ended

    def _run(self) -> None:
        try:
            self.outcome = self._work()
        except Exception as error:
            self.outcome = error
        except BaseException as error:
            if is_interrupt(error):
                raise
            self.outcome = internal_error(error)
        finally:
            self._ended.set()
            came_back(self)


def run_with_deadline(work: Callable[[], T], clock: Clock, seconds: float) -> Optional[Union[T, Exception]]:
    """Return the result or the exception of work that may hang; None where it did not end in so many seconds."""
    deadline = clock.monotonic() + seconds
    watched = Watched(work)
    return watched.outcome if watched.wait(clock, lambda: deadline) else None


_left: Dict[int, float] = {}
"""By identity, the moment at which each piece of work was left behind."""
_lock = threading.Lock()


def leave_behind(work: object, now: float) -> None:
    """Remember that nobody waits any more for work that has not ended; `now` is monotonic."""
    with _lock:
        _left.setdefault(id(work), now)


def came_back(work: object) -> None:
    """Forget work that has ended after all."""
    with _lock:
        _left.pop(id(work), None)


def hung_threads(now: float) -> int:
    """Count the threads of this process that were left behind over a minute ago and have not ended."""
    with _lock:
        return sum(now - at > HUNG_S for at in _left.values())
