"""The exporter's loop: each instance is collected when its interval is over, and never because of a scrape."""

from __future__ import annotations

import queue
import signal
from contextlib import ExitStack
from typing import Callable, ContextManager, Dict, List, Sequence, Set

from ...clock import Clock
from ...collection import Batch, Collector, Problem, on_sigterm, run_cycle
from ...errors import ConfigError
from ...metrics import Point
from ...queue_get import next_of
from ..problem_log import CONFIGURATION, ProblemLog
from .snapshot import Latest, outdated

Load = Callable[[], ContextManager[List[Collector]]]
RELOAD, STOP = "SIGHUP", "SIGTERM"
GRACE = 60.0
"""Seconds by which a cycle may be late on a machine that is busy."""


class Rounds:
    """Collect the instances of a configuration, each at its own interval, until told to stop.

    Args:
        load: reads the configuration, and raises ConfigError.
        renew: called with each configuration that is read again; raises ConfigError too.
        latest: takes what was collected.
        say: takes one line, its level first.
        clock: the time.
    """

    def __init__(
        self, load: Load, renew: Callable[[], None], latest: Latest, say: Callable[[str], None], clock: Clock
    ) -> None:
        self._load = load
        self._renew = renew
        self._latest = latest
        self._say = say
        self._clock = clock
        self._log = ProblemLog(say, clock.monotonic)
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped = False
        self._held = ExitStack()
        on_sigterm([], self._stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._told.put(RELOAD))
        self._take(self._held.enter_context(load()))

    def run(self) -> None:
        """Collect until SIGTERM, which cuts the running cycle."""
        try:
            while not self._stopped:
                wait = max(0.0, min(self._due) - self._clock.monotonic())
                deadline = max(collector.instance.deadline for collector in self._collectors)
                self._latest.expect(self._clock.monotonic() + wait + deadline + GRACE)
                told = next_of(self._told, wait)
                if told is None:
                    self._collect()
                elif told == RELOAD:
                    self._read_again()
        finally:
            self._held.close()  # those of the configuration that was read last

    def _stop(self) -> None:
        self._stopped = True
        self._told.put(STOP)

    def _take(self, collectors: List[Collector]) -> None:
        self._collectors = collectors
        self._due = [self._clock.monotonic()] * len(collectors)
        self._points: Dict[int, Sequence[Point]] = {}
        self._problems: Dict[int, Sequence[Problem]] = {}
        on_sigterm(collectors, self._stop)

    def _read_again(self) -> None:
        fresh = ExitStack()
        try:
            collectors = fresh.enter_context(self._load())
            self._renew()
        except ConfigError as error:
            fresh.close()
            self._say(f"E! {error}; what was read before stays in use")
            return
        self._held, old = fresh, self._held
        self._take(collectors)
        old.close()
        self._say("I! the configuration was read again")

    def _collect(self) -> None:
        now = self._clock.monotonic()
        due = [i for i, at in enumerate(self._due) if at <= now]
        news: List[Problem] = []
        answered: Set[str] = set()
        try:
            batches = run_cycle([self._collectors[i] for i in due])
        except ConfigError as error:
            news.append(Problem("E", str(error), CONFIGURATION))
            for i in due:
                self._points[i] = list(outdated(self._points.get(i, ())))
        else:
            if self._stopped:  # what was cut off is no failure
                return
            answered.add(CONFIGURATION)
            for i, batch in zip(due, batches):
                news += self._note(i, batch)
                answered |= batch.answered
        for i in due:
            self._due[i] = now + self._collectors[i].instance.min_collection_interval
        self._latest.put([point for i in sorted(self._points) for point in self._points[i]])
        # Those of the instances that had no turn are not over.
        self._log.report([*news, *(problem for problems in self._problems.values() for problem in problems)], answered)

    def _note(self, i: int, batch: Batch) -> List[Problem]:
        """Keep what an instance's cycle yielded; return what it has to say once."""
        self._points[i] = batch.points
        self._problems[i] = [problem for problem in batch.problems if problem.level != "I"]
        return [problem for problem in batch.problems if problem.level == "I"]
