"""The exporter's loop: collect each instance at its own interval, independent of scrapes."""

from __future__ import annotations

import math
import signal
import threading
import time
from contextlib import ExitStack, closing
from typing import Callable, ContextManager, Dict, FrozenSet, List, Sequence, Set, Tuple

from ...clock import Clock
from ...cloud.connection import Stamp, file_stamp
from ...collection import Batch, Collector, run_cycle
from ...collection.stored_counters import stored_counters
from ...config import Instance
from ...errors import ConfigError, Problem
from ...metrics import Point
from ...watchdog import start_thread, wait_for
from ..problem_log import CONFIGURATION, ProblemLog
from ..runner import on_sigterm, open_store
from .snapshot import NewestBatch, Snapshot, points_after_failure

Load = Callable[[], ContextManager[List[Collector]]]
_Identity = Tuple[Instance, Stamp, Stamp]
"""An instance, its credentials file and its `tls_ca_cert`."""
_Series = FrozenSet[Tuple[str, str]]
"""The tags of an instance's health: no two instances have the same."""
GRACE = 60.0
"""Seconds by which a cycle may be late on a busy machine."""
IN_A_ROW_S = 1.0
"""SIGHUPs that arrive within so many seconds are one reload."""
SIGNAL_CYCLES_S = 60.0
"""Seconds between two cycles of what did not change, because of a SIGHUP: many of them must not use up the rate."""


class CollectionLoop:
    """Collect the instances of a configuration, each at its own interval, until SIGTERM.

    Args:
        load: reads the configuration; may raise ConfigError.
        reload_tls: called at each reload of the configuration; may raise ConfigError.
        snapshot: receives the collected points.
        log: logs one line that starts with its level.
        clock: the clock.
    """

    def __init__(
        self, load: Load, reload_tls: Callable[[], None], snapshot: Snapshot, log: Callable[[str], None], clock: Clock
    ) -> None:
        self._load = load
        self._reload_tls = reload_tls
        self._snapshot = snapshot
        self._log = log
        self._clock = clock
        self._problem_log = ProblemLog(log, clock.monotonic)
        self._reload_requested = self._stopped = False
        self._resources = ExitStack()
        self._signal_cycle_s = -math.inf
        self._identities: List[_Identity] = []
        self._next_cycles: List[float] = []
        self._points: Dict[_Series, Sequence[Point]] = {}
        self._problems: Dict[_Series, Sequence[Problem]] = {}
        on_sigterm([], self._stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._request_reload)
        self._use(self._resources.enter_context(load()))

    def run(self) -> None:
        """Collect until SIGTERM, which cancels the running cycle."""
        if not start_thread(self._show_stored):
            self._snapshot.set_stored(())
        try:
            while not self._stopped:
                self._set_deadline()
                self._wait_until(min(self._next_cycles), lambda: self._stopped or self._reload_requested)
                if self._reload_requested:
                    self._wait_for_more_signals()
                    self._reload_requested = False
                    self._reload()
                    self._set_deadline()
                # Also after a reload: signals that go on and on must not prevent a cycle.
                if not self._stopped and min(self._next_cycles) <= self._clock.monotonic():
                    self._collect()
        finally:
            self._resources.close()

    def _show_stored(self) -> None:
        """Serve the counters in the state. What hangs here, a file or the state, delays no cycle."""
        points: List[Point] = []
        try:
            collectors = self._collectors
            instances = [collector.instance for collector in collectors]
            with closing(open_store(instances, lambda text: None, self._clock)) as store:
                for collector in collectors:
                    points += stored_counters(collector, store)
        except Exception:  # the first cycle reports it  # noqa: S110
            pass
        finally:
            self._snapshot.set_stored(points)

    def _set_deadline(self) -> None:
        wait = max(0.0, min(self._next_cycles) - self._clock.monotonic())
        longest = max(each.instance.deadline + each.rate_extension_s for each in self._collectors)
        self._snapshot.set_deadline(self._clock.monotonic() + wait + longest + GRACE)

    def _stop(self) -> None:
        self._stopped = True

    def _request_reload(self, number: int, frame: object) -> None:
        self._reload_requested = True

    def _wait_until(self, moment: float, is_cancelled: Callable[[], bool]) -> None:
        wait_for(threading.Event(), lambda: moment, is_cancelled, self._clock.monotonic)

    def _wait_for_more_signals(self) -> None:
        until = time.monotonic() + IN_A_ROW_S
        wait_for(threading.Event(), lambda: until, lambda: self._stopped)

    def _use(self, collectors: List[Collector], collects_all: bool = False) -> None:
        """Replace the instances. One that did not change keeps its next cycle, unless all are collected now."""
        before, next_cycles, now = self._identities, self._next_cycles, self._clock.monotonic()
        self._collectors = collectors
        self._identities = [_identity(collector) for collector in collectors]
        self._next_cycles = [
            next_cycles[before.index(each)] if each in before and not collects_all else now for each in self._identities
        ]
        # The points of a removed instance are no longer served.
        present = set(map(_series, collectors))
        self._points = {series: points for series, points in self._points.items() if series in present}
        self._problems = {series: problems for series, problems in self._problems.items() if series in present}
        self._publish_batches()
        on_sigterm(collectors, self._stop)

    def _reload(self) -> None:
        resources = ExitStack()
        try:
            collectors = resources.enter_context(self._load())
            self._reload_tls()
        except ConfigError as error:
            resources.close()
            self._log(f"E! {error}; the previous configuration stays in use")
            return
        self._resources, previous = resources, self._resources
        now = self._clock.monotonic()
        collects_all = now >= self._signal_cycle_s + SIGNAL_CYCLES_S
        self._signal_cycle_s = now if collects_all else self._signal_cycle_s
        self._use(collectors, collects_all)
        previous.close()
        if self._points:
            self._publish()
        self._log("I! configuration reloaded")

    def _collect(self) -> None:
        now = self._clock.monotonic()
        due = [i for i, next_cycle in enumerate(self._next_cycles) if next_cycle <= now]
        once: List[Problem] = []
        answered: Set[str] = set()
        try:
            batches = run_cycle([self._collectors[i] for i in due])
        except ConfigError as error:
            once.append(Problem("E", str(error), CONFIGURATION))
            for series in [_series(self._collectors[i]) for i in due]:
                self._points[series] = list(points_after_failure(self._points.get(series, ())))
        else:
            if self._stopped:  # a cancelled cycle is not a failure
                return
            answered.add(CONFIGURATION)
            for i, batch in zip(due, batches):
                once += self._store_batch(_series(self._collectors[i]), batch)
                answered |= batch.answered
        for i in due:
            self._next_cycles[i] = now + self._collectors[i].instance.min_collection_interval
        self._publish()
        # Include instances that were not due: their problems last.
        lasting = [problem for problems in self._problems.values() for problem in problems]
        self._problem_log.report([*once, *lasting], answered)

    def _publish_batches(self) -> None:
        series = [(each, _series(each)) for each in self._collectors]
        self._snapshot.batches = tuple(
            NewestBatch(each, self._points.get(tags, ()), self._problems.get(tags, ())) for each, tags in series
        )

    def _publish(self) -> None:
        self._publish_batches()
        self._snapshot.replace([point for points in self._points.values() for point in points])

    def _store_batch(self, series: _Series, batch: Batch) -> List[Problem]:
        """Store the points and problems of an instance; return its `I!` lines, which are logged once."""
        self._points[series] = batch.points
        self._problems[series] = [problem for problem in batch.problems if problem.level != "I"]
        return [problem for problem in batch.problems if problem.level == "I"]


def _identity(collector: Collector) -> _Identity:
    instance = collector.instance
    return instance, file_stamp(instance.credentials.path), file_stamp(instance.tls_ca_cert)


def _series(collector: Collector) -> _Series:
    return frozenset(collector.instance.api_tags.items())
