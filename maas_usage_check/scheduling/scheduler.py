"""One scheduler per access key: a queue that decides, and a few daemon workers that send."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Optional, Tuple, TypeVar, Union
from urllib.parse import SplitResult

from .. import watchdog
from ..clock import Clock
from ..cloud import Credentials, as_query_error
from ..errors import QueryError
from ..state import Store
from .key_state import KeyState, digest
from .request import Group, Request
from .request_queue import RequestQueue

if TYPE_CHECKING:
    from .proxy_guard import ProxyGuard

POLL_S = 1.0
"""A cancelled cycle and hung workers are noticed after so many seconds. The watchdog notices a signal sooner."""
T = TypeVar("T")


class Scheduler:
    """Send the requests of one access key, of all cycles of this process.

    Attributes:
        queue: changed under the lock only.
    """

    def __init__(self, key: KeyState, clock: Clock) -> None:
        self.key = key
        self.queue = RequestQueue(key, clock)
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._workers = 0
        self._has_timer = False
        """True while a worker waits for the moment at which the next request may go."""

    def hangs(self) -> bool:
        """Return true if a thread that hangs in the state holds the lock: this scheduler can do nothing more."""
        if not self.key.store.hangs:
            return False
        is_free = self._changed.acquire(timeout=watchdog.POLL_S)
        if is_free:
            self._changed.release()
        return not is_free

    def open(self, group: Group) -> None:
        """Begin a cycle."""
        with self._changed:
            self.queue.open(group)

    def submit(self, requests: Iterable[Request]) -> None:
        """Add requests of a cycle that was begun."""
        with self._changed:
            self.queue.submit(requests)
            self._wake()

    def wait(self, group: Group) -> None:
        """Wait until all requests of a cycle have ended, its deadline has passed or it is cancelled."""
        while group.pending and not group.is_cancelled() and self._clock.monotonic() < group.deadline:
            with self._changed:
                self._wake()  # in place of workers that hang
                has_worker = self._workers > self.queue.hung or not len(self.queue)
                # Where no thread can be started, this one sends.
                sends = not has_worker and self._step(watchdog.POLL_S)
            if not sends:
                group.ended.wait(max(0.0, min(POLL_S, group.deadline - self._clock.monotonic())))

    def close(self, group: Group, projects: Dict[str, str]) -> None:
        """End a cycle, and replace the workers that hang in it; see RequestQueue.close."""
        with self._changed:
            for request in self.queue.in_flight:
                if request.group is group:
                    watchdog.leave_behind(request, self._clock.monotonic())
            self.queue.close(group, projects)
            self._wake()

    def _wake(self) -> None:
        """Start workers up to the number of slots, and let the one that waits decide again."""
        hung = self.queue.hung
        wanted = min(len(self.queue) + len(self.queue.in_flight) - hung, self.queue.slots)
        while self._workers - hung < wanted and watchdog.start_thread(self._work):
            self._workers += 1
        self._changed.notify()

    def _work(self) -> None:
        with self._changed:
            try:
                while self._step():
                    pass
            finally:
                self._workers -= 1

    def _step(self, longest_s: float = math.inf) -> bool:
        """End one request, or wait until one may go, `longest_s` at most; return False if this worker is not needed.

        One worker waits for a moment to come. None waits for a call, such as `submit`: it starts workers.
        """
        decision = self.queue.next()
        if decision is None:
            pause_s = min(self.queue.pause_s, longest_s)
            if self._has_timer or math.isinf(pause_s):
                self._changed.notify()  # the one that waits may have to wait for less now
                return False
            self._has_timer = True
            self._clock.wait(self._changed, pause_s)
            self._has_timer = False
            return True
        request, outcome = decision
        try:
            if outcome is None:
                outcome = self._unlocked(request.run)
                if not self.queue.record(request, outcome):
                    return True
            follow_ups = self._unlocked(lambda: list(request.on_end(outcome)))
            # `on_end` handles its own errors.
            self.queue.finish(request, () if isinstance(follow_ups, QueryError) else follow_ups)
        finally:
            self.queue.in_flight.discard(request)
            watchdog.came_back(request)
        return True

    def _unlocked(self, work: Callable[[], T]) -> Union[T, QueryError]:
        """Return the result or the error of work, without the lock: other workers go on."""
        self._wake()
        self._changed.release()
        try:
            return work()
        except BaseException as error:
            if watchdog.is_interrupt(error):
                raise
            return as_query_error(error)
        finally:
            self._changed.acquire()


class Schedulers:
    """The schedulers of all access keys over one state."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._proxy_guard: Optional[ProxyGuard] = None
        self._clock = clock
        self._lock = threading.Lock()
        self._schedulers: Dict[Tuple[str, str], Scheduler] = {}

    def of(self, credentials: Credentials) -> Scheduler:
        """Find the scheduler of an access key; one that hangs is replaced."""
        pair = credentials.ak, credentials.sk
        name = digest(self.store, "\0".join(pair))
        with self._lock:
            found = self._schedulers.get(pair)
            if found is None or found.hangs() or not (found.queue.groups or found.key.name == name):
                # Temporary keys come and go: all that an idle scheduler knows is in the state.
                self._schedulers = {each: other for each, other in self._schedulers.items() if other.queue.groups}
                found = self._schedulers[pair] = Scheduler(KeyState(name, self.store, self._clock), self._clock)
            return found

    def proxy_guard(self, proxy: SplitResult, connect: Callable[[], Any]) -> Any:
        """Open a tunnel of their requests; see Guard and ProxyGuard."""
        with self._lock:
            if self._proxy_guard is None:
                from .proxy_guard import ProxyGuard  # few have a proxy

                self._proxy_guard = ProxyGuard(self.store, self._clock)
        return self._proxy_guard(proxy, connect)
