"""The hours' share of a cycle: asked after the ranges, as far as rate and deadline leave room, given out at its end."""

from __future__ import annotations

import threading
from functools import partial
from typing import Dict, List, NamedTuple, Optional, Sequence

from ..clock import Clock
from ..cloud import Session, Source, failure
from ..config import Instance
from ..errors import QueryError, Result
from ..history import INCREMENTS, Account, Ask, Consumer, Given, History, Work, give
from ..metrics import Number, Point
from ..store import Store, UnusableError
from .crew import Crew
from .problems import Problem

GIVING = 3.0
"""Seconds that giving out may take after the deadline: a folder of the state that hangs must not keep the cycle."""
LATER = frozenset({Result.OVER_RATE, Result.BACKING_OFF})
"""No failures: it is asked in a later cycle."""
PASSED_OVER = frozenset({Result.NETWORK, Result.SERVER_ERROR, Result.BAD_ANSWER, Result.REQUEST_REJECTED})
"""Failures of one question; after any other the rest would fare alike."""
NOT_BELIEVED = "no hour and no count is given out, and it is looked at again a day later; report it if it lasts"
NO_STATE = "no hours and no counts are given out, for the state cannot be written"


class Share(NamedTuple):
    """Hold what the hours add to a batch."""

    points: List[Point]
    health: Dict[str, Number]
    problems: List[Problem]


class Hourly:
    """Ask about the hours of one instance, and give them out to one consumer. One cycle at a time."""

    def __init__(self, instance: Instance, source: Source, store: Store, consumer: Consumer, clock: Clock) -> None:
        self._instance = instance
        self._source = source
        self._consumer = consumer
        self._clock = clock
        self._history = History(instance, store)

    def ask(self, session: Session, crew: Crew, now: int, give_up: float) -> List[Optional[QueryError]]:
        """Ask what is due, and then what is missing, until all is answered or the time is up.

        Return for each question None, or why it failed; what is left for a later cycle is no failure.

        Args:
            session: connected.
            crew: does it.
            now: the cycle's time, in milliseconds.
            give_up: monotonic seconds.
        """
        account = Account(session.project_id, session.key_name)
        begun = crew.do({"": partial(self._history.asks, account, now)}, give_up=give_up).get("")
        if not isinstance(begun, list) or not begun:
            return []  # a trouble of the state shows when the hours are given out
        ends: List[Optional[QueryError]] = []
        work, workers = Work(begun), self._instance.max_concurrency
        crew.do(dict.fromkeys(range(workers), partial(self._work, work, session, give_up, ends)), workers, give_up)
        work.stop()
        Crew(self._clock).do({"": partial(self._history.note_asked, now)}, give_up=self._clock.monotonic() + GIVING)
        return list(ends)

    @property
    def counts_once(self) -> bool:
        """Tell whether what is given out must not be lost."""
        return self._consumer.takes == INCREMENTS

    def give(
        self,
        session: Session,
        now: int,
        tags: Dict[str, str],
        worked: bool,
        failures: Sequence[QueryError],
        deadline: float,
    ) -> Share:
        """Make the hours' share of a batch.

        Args:
            session: knows whose hours they are, if it was connected.
            now: the cycle's time, in milliseconds.
            tags: of every point.
            worked: whether the cloud answered.
            failures: why hours were not asked.
            deadline: the cycle's, in monotonic seconds.
        """
        late = threading.Event()
        account = Account(session.project_id, session.key_name)
        make = partial(give, self._history, self._consumer, account, now, tags, worked, lambda: not late.is_set())
        give_up = max(deadline, self._clock.monotonic() + GIVING)
        made = Crew(self._clock).do({"": make}, give_up=give_up).get("")
        late.set()
        where = self._instance.place
        problems: List[Problem] = []
        if failures:
            first, more = failures[0], len(failures) - 1
            others = f", and {more} more" if more else ""
            problems.append(Problem("W", f"{where}: {first} (some hours were not asked{others})", f"{where} hours"))
        if not isinstance(made, Given):
            why = NO_STATE if made is None or isinstance(made, UnusableError) else str(failure(made))
            problems.append(Problem("W", f"{where}: {why}", f"{where} hours' state"))
            return Share([], {}, problems)
        if made.failed:
            problems.append(Problem("W", f"{where}: {made.failed}; {NOT_BELIEVED}", f"{where} hours' sum"))
        problems += [Problem("I", f"{where}: {text}", text) for text in made.news]
        health: Dict[str, Number] = {}
        if made.missing is not None:
            health["missing_hours"] = made.missing
        if made.newest_use:
            health["newest_usage_timestamp_seconds"] = made.newest_use // 1000
        return Share(made.points, health, problems)

    def _work(self, work: Work, session: Session, give_up: float, ends: List[Optional[QueryError]]) -> None:
        for ask in iter(work.take, None):
            follow: Sequence[Ask] = ()
            try:
                follow = ask.learn(session.ask_spare(self._source, ask.query))
                ends.append(None)
            except UnusableError:
                work.stop()
            except Exception as error:
                failed = failure(error)
                if failed.result not in PASSED_OVER:
                    work.stop()
                if failed.result not in LATER and self._clock.monotonic() < give_up:
                    ends.append(failed)
            finally:
                work.done(follow)
