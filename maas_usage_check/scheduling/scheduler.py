"""One scheduler per access key: a queue that decides, and a few daemon workers that send."""

from __future__ import annotations

import math
import threading
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from .. import watchdog
from ..clock import Clock
from ..cloud import Credentials, as_query_error
from ..cloud.outcomes import Outcome
from ..errors import QueryError
from ..state import Store, digest
from .key_state import KeyState
from .request import Group, Request
from .request_queue import RequestQueue

POLL_S = 1.0
"""A cancelled cycle and hung workers are noticed after so many seconds. The watchdog notices a signal sooner."""


class Scheduler:
    """Send the requests of one access key, of all cycles of this process.

    Attributes:
        queue: changed under the lock only.
    """

    def __init__(self, key: KeyState, clock: Clock) -> None:
        self.key = key
        self._clock = clock
        self.queue = RequestQueue(key, clock)
        self._changed = threading.Condition()
        self._workers = 0
        self._has_timer = False
        """True while a worker waits for the moment at which the next request may go."""
        self._tasks: List[Request] = []
        """Requests from the decision to the use of their answers; twice where one is tried again at this moment."""

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
        while not (group.ended.is_set() or group.is_cancelled() or self._clock.monotonic() >= group.deadline):
            with self._changed:
                self._wake()  # in place of workers that hang
                has_worker = self._workers > self._hung() or not len(self.queue)
            if has_worker:
                group.ended.wait(max(0.0, min(POLL_S, group.deadline - self._clock.monotonic())))
            else:  # no thread can be started: this one sends
                self._step(is_worker=False)

    def close(self, group: Group, projects: Dict[str, str]) -> None:
        """End a cycle, and replace the workers that hang in it; see RequestQueue.close."""
        with self._changed:
            for task in () if group.ended.is_set() else self._tasks:
                if task.group is group:
                    watchdog.leave_behind(task, self._clock.monotonic())
            self.queue.close(group, projects)
            self._wake()

    def _wake(self) -> None:
        """Start workers up to the number of slots, and let the one that waits decide again."""
        hung = self._hung()
        wanted = min(len(self.queue) + len(self._tasks) - hung, self.queue.slots)
        while self._workers - hung < wanted and watchdog.start_thread(self._work):
            self._workers += 1
        self._changed.notify()

    def _hung(self) -> int:
        now = self._clock.monotonic()
        return sum(task.group.deadline <= now for task in self._tasks)

    def _work(self) -> None:
        try:
            while self._step():
                pass
        except BaseException:
            with self._changed:
                self._workers -= 1
            raise

    def _step(self, is_worker: bool = True) -> bool:
        """End one request, or wait until one may go; return False at the end of this worker."""
        with self._changed:
            decision = self.queue.next()
            if decision is None:
                return self._pause(is_worker)
            request, error = decision
            self._tasks.append(request)
            if len(self.queue):
                self._wake()
        follow_ups: Optional[Sequence[Request]] = None
        try:
            follow_ups = self._end(request, error)
        finally:
            with self._changed:
                self._tasks.remove(request)
                watchdog.came_back(request)
                if follow_ups is not None:
                    self.queue.finish(request, follow_ups)
                if follow_ups:
                    self._wake()
        return True

    def _pause(self, is_worker: bool) -> bool:
        """Wait until a request may go. Of all workers one waits, and none where a call has to come first."""
        if not is_worker:
            self._clock.wait(self._changed, min(self.queue.pause_s, watchdog.POLL_S))
        elif self._has_timer or math.isinf(self.queue.pause_s):
            self._workers -= 1
            return False
        else:
            self._has_timer = True
            self._clock.wait(self._changed, self.queue.pause_s)
            self._has_timer = False
        return True

    def _end(self, request: Request, error: Optional[QueryError]) -> Optional[Sequence[Request]]:
        """Return the requests that follow; None if this one is tried again."""
        outcome: Outcome = error
        if error is None:
            try:
                outcome = request.run()
            except Exception as raised:
                outcome = as_query_error(raised)
            with self._changed:
                slots = self.queue.slots
                has_ended = self.queue.record(request, outcome)
                if self.queue.slots != slots or not has_ended:
                    self._wake()
            if not has_ended:
                return None
        try:
            return list(request.on_end(outcome))
        except Exception:  # whoever takes an outcome handles its own errors
            return ()


class Schedulers:
    """The schedulers of all access keys over one state."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
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
