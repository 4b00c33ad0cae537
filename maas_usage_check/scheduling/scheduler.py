"""One scheduler per access key: a queue that decides, and a few daemon workers that send."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import Callable, Dict, Iterable, Iterator, Mapping, Optional, Set, Tuple

from .. import watchdog
from ..clock import Clock
from ..cloud import Credentials, as_query_error
from ..cloud.outcomes import Outcome
from ..errors import QueryError
from ..state import Store
from .key_state import KeyState, key_name
from .request_queue import Group, Request, RequestQueue

HUNG_POLL_S = 1.0
"""Hung workers are replaced after so many seconds. Whoever waits for the cycle sees a signal sooner: see watchdog."""


class _Task:
    """Work of a thread for a cycle that may hang."""

    def __init__(self, group: Group) -> None:
        self.group = group


class Scheduler:
    """Send the requests of one access key, of all cycles of this process."""

    def __init__(self, key: KeyState, clock: Clock) -> None:
        self.key_name = key.name
        self._key = key
        self._clock = clock
        self._queue = RequestQueue(key, clock)
        self._changed = threading.Condition()
        self._workers = 0
        self._requests: Set[_Task] = set()
        """Requests from the decision to the use of their answers."""
        self._connects: Set[_Task] = set()
        self._wakes_at = math.inf

    @property
    def is_busy(self) -> bool:
        """True while a cycle runs."""
        return bool(self._queue.groups)

    def hangs(self) -> bool:
        """Return true if a thread that hangs in the state holds the lock: this scheduler can do nothing more."""
        if not self._key.store.hangs:
            return False
        is_free = self._changed.acquire(timeout=watchdog.POLL_S)
        if is_free:
            self._changed.release()
        return not is_free

    @property
    def projects(self) -> Mapping[str, str]:
        """Return the known project ids by where they were looked up."""
        return self._key.entry.projects

    def load_projects(self) -> Mapping[str, str]:
        """Read the known project ids from the state."""
        with self._changed, self._key.transaction() as entry:
            return dict(entry.projects)

    @property
    def refused_clock_off(self) -> Optional[float]:
        """Return how far the clock was off when the key was refused, while the refusal lasts."""
        entry = self._key.entry
        return entry.clock_off if self._clock.now() < entry.not_before else None

    def open(self, group: Group) -> None:
        """Begin a cycle."""
        with self._changed:
            self._queue.open(group)

    def submit(self, requests: Iterable[Request]) -> None:
        """Add requests of a cycle that was begun."""
        with self._changed:
            self._queue.submit(requests)
            self._start_workers()
            self._changed.notify_all()

    def wait(self, group: Group, on_wait: Callable[[float], None] = lambda seconds: None) -> None:
        """Wait until all requests of a cycle have ended, its deadline has passed or it is cancelled.

        `on_wait` is called once where a request waits for the rate, with the seconds.
        """
        while True:
            if group.rate_wait_s:  # first: the wait may be over by now
                if group.rate_wait_s >= 1:
                    on_wait(group.rate_wait_s)
                    on_wait = lambda seconds: None  # noqa: E731 - once
                group.rate_wait_s = 0.0
            if group.ended.is_set() or group.is_cancelled() or self._clock.monotonic() >= group.deadline:
                return
            with self._changed:
                self._start_workers()  # in place of those that hang
                has_workers = self._active() > 0 or not len(self._queue)
                if self._active() < self._workers:  # a request hangs: its slot is free
                    self._changed.notify()
            if not has_workers:  # no thread can be started
                self._step(is_worker=False)
            else:
                group.ended.wait(max(0.0, min(HUNG_POLL_S, group.deadline - self._clock.monotonic())))

    def close(self, group: Group, projects: Dict[str, str]) -> None:
        """End a cycle; see RequestQueue.close."""
        with self._changed:
            for task in (*self._connects, *(() if group.ended.is_set() else self._requests)):
                if task.group is group:
                    watchdog.leave_behind(task, self._clock.monotonic())
            self._queue.close(group, projects)
            self._changed.notify_all()

    def _start_workers(self) -> None:
        hung = self._workers - self._active()
        wanted = min(len(self._queue) + len(self._requests) - hung, self._queue.concurrency)
        while self._active() < wanted and watchdog.start_thread(self._work):
            self._workers += 1

    def _active(self) -> int:
        now = self._clock.monotonic()
        return self._workers - sum(task.group.deadline <= now for task in self._requests)

    def _work(self) -> None:
        try:
            while self._step():
                pass
        except BaseException:  # it is replaced
            with self._changed:
                self._workers -= 1
            raise

    def _step(self, is_worker: bool = True) -> bool:
        """End one request, connect, or pause; return False if this worker is not needed any more."""
        with self._changed:
            decision = self._queue.next()
            if decision is not None:
                self._changed.notify()  # another worker takes over the timed pause
                with self._unlocked(self._requests, decision[0].group):
                    self._end(*decision)
                self._start_workers()
            elif not is_worker:
                self._clock.wait(self._changed, min(self._queue.pause_s, watchdog.POLL_S))
            elif not self._queue.groups or self._active() > self._queue.concurrency:
                self._workers -= 1
                return False
            else:
                self._pause()
        return True

    @contextlib.contextmanager
    def _unlocked(self, tasks: Set[_Task], group: Group) -> Iterator[None]:
        """Release the lock for a task."""
        task = _Task(group)
        tasks.add(task)
        self._changed.release()
        try:
            yield
        finally:
            self._changed.acquire()
            tasks.remove(task)
            watchdog.came_back(task)

    def _pause(self) -> None:
        connect = self._queue.to_connect()
        wakes_at = self._clock.monotonic() + self._queue.pause_s
        if connect is not None:
            self._workers -= 1  # it may hang; others take its place
            with self._unlocked(self._connects, connect.group), contextlib.suppress(Exception):
                connect.preconnect()
            self._workers += 1
        elif wakes_at >= self._wakes_at:  # another worker wakes up by then
            self._changed.wait()
        else:
            self._wakes_at = wakes_at
            self._clock.wait(self._changed, self._queue.pause_s)
            if self._wakes_at == wakes_at:
                self._wakes_at = math.inf

    def _end(self, request: Request, error: Optional[QueryError]) -> None:
        outcome: Outcome = error
        if error is None:
            try:
                outcome = request.run()
            except Exception as raised:
                outcome = as_query_error(raised)
            with self._changed:
                was_verified = self._queue.is_verified()
                has_ended = self._queue.record(request, outcome)
                if self._queue.is_verified() != was_verified:
                    self._changed.notify_all()
            if not has_ended:
                return
        follow_ups: Iterable[Request] = ()
        with contextlib.suppress(Exception):  # whoever takes an outcome handles its own errors
            follow_ups = list(request.on_end(outcome))
        with self._changed:
            self._queue.finish(request, follow_ups)
            if follow_ups:
                self._changed.notify_all()


class Schedulers:
    """The schedulers of all access keys over one state."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._schedulers: Dict[str, Scheduler] = {}
        self._by_key: Dict[Tuple[str, str], Scheduler] = {}

    def of(self, credentials: Credentials) -> Scheduler:
        """Find the scheduler of an access key; one that hangs is replaced."""
        with self._lock:
            busy = self._by_key.get((credentials.ak, credentials.sk))
        if busy is not None and busy.is_busy and not busy.hangs():  # without a transaction for its name
            return busy
        name = key_name(self.store, credentials)
        with self._lock:
            if name not in self._schedulers or self._schedulers[name].hangs():
                # Temporary keys come and go: all that an idle scheduler knows is in the state.
                self._schedulers = {other: each for other, each in self._schedulers.items() if each.is_busy}
                self._schedulers[name] = Scheduler(KeyState(name, self.store, self._clock), self._clock)
            self._by_key = {(credentials.ak, credentials.sk): self._schedulers[name]}
            return self._schedulers[name]
