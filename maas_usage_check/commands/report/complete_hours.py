"""Complete windows of hours: query what the ledger misses, in the background for the rate, then read them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ...cloud import as_query_error
from ...cloud.json_body import bad_answer
from ...cloud.outcomes import Outcome, effect_of
from ...collection import Collector, Session
from ...errors import Problem, QueryError, Result
from ...ledger import Account, QueryTask
from ...ledger.known_usage import KnownUsage
from ...ledger.window import HoursWindow
from ...scheduling import Request, background_share
from ...state import Store, UnusableError, Warn
from ...watchdog import Watched
from ..runner import log_waits
from ..waiting_queries import connect
from .progress_bar import progress_bar

STOP_S = 2.0
"""Seconds after a signal until the known hours are shown, whatever hangs."""
CLOSE_S = 3.0
"""Seconds that the state may take at the end."""
INTERRUPTED = "ended by a signal: the hours queried so far are shown"


class Completion:
    """Complete the windows of one instance. The deadline moves on with every answer and every wait for the rate.

    Args:
        collector: the instance's.
        window: its account is set here.
        make_store: opens a temporary state, for answers that the state cannot store.
        log_problems: logs lines.
        warn: logs a warning.
    """

    def __init__(
        self,
        collector: Collector,
        window: HoursWindow,
        make_store: Callable[[], Store],
        log_problems: Callable[[Sequence[Problem]], None],
        warn: Warn,
    ) -> None:
        self._collector = collector
        self._window = window
        self._make_store = make_store
        self._log_problems = log_problems
        self._warn = warn
        self._session = Session(collector, collector.instance.deadline)
        self._session.group.last_deadline = math.inf
        self._failures: List[Exception] = []
        self._is_stopped = self._is_cut_short = False
        self._on_answer: Callable[[], None] = lambda: None

    def wait(self) -> Tuple[Optional[KnownUsage], List[str]]:
        """Return the known usage, if it can be read, and the causes of missing hours; with a bar on a terminal."""
        collector, group, store = self._collector, self._session.group, self._collector.schedulers.store
        with progress_bar("hours") as bar:
            self._on_answer = lambda: bar(len(self._window.answered), self._window.missing)
            work = Watched(self._run)  # credentials and the state may hang
            work.wait(collector.clock, lambda: min(group.deadline + CLOSE_S, collector.cancelled_at + STOP_S))
        known = work.outcome if isinstance(work.outcome, KnownUsage) else None
        if collector.is_cancelled and (known is None or self._is_cut_short):
            return known, [INTERRUPTED]
        if known is not None:
            return known, [known.failed] if known.failed else self._causes()
        if work.outcome is None:
            return None, [str(store.hang_error()) if store.hangs else self._session.late]
        return None, [str(as_query_error(work.outcome))]

    def _run(self) -> Any:
        session, window = self._session, self._window
        try:
            connect(session)
            window.account = Account(session.project_id, session.key_name)
            tasks = window.plan()
            if tasks:
                self._choose_store()
                self._announce()
                session.send(self._requests(tasks))
                self._is_cut_short = session.group.is_cancelled()
            return window.read()
        finally:
            session.is_over = True
            session.close()

    def _choose_store(self) -> None:
        try:
            if self._window.unusable:
                raise self._window.unusable
            self._window.stores[-1].check_writable()
        except UnusableError as error:
            self._warn(error.line("This report stores its hours for itself alone"))
            self._window.stores.append(self._make_store())

    def _announce(self) -> None:
        """Say how long it takes, if that is more than a minute."""
        instance, requests = self._collector.instance, self._window.requests
        share = background_share(instance.max_requests_per_minute)
        if requests <= share:
            self._session.group.on_wait = log_waits(self._warn, instance)
            return
        text = (
            f"{instance.display_name}: {self._window.missing:,} hours are missing: about {requests:,} requests, "
            f"{-(-requests // share)} minutes at half of max_requests_per_minute; Ctrl-C shows what is known by then"
        )
        self._log_problems([Problem("I", text, "")])

    def _requests(self, tasks: Sequence[QueryTask]) -> List[Request]:
        api, request = self._window.api, self._session.request
        return [
            request(api, task.query, partial(self._on_end, task), task.priority, is_dropped=lambda: self._is_stopped)
            for task in tasks
        ]

    def _on_end(self, task: QueryTask, outcome: Outcome) -> List[Request]:
        if self._session.drops(outcome) or self._is_stopped:
            return []
        group, clock = self._session.group, self._collector.clock
        group.deadline = max(group.deadline, clock.monotonic() + self._collector.instance.deadline)
        try:
            is_failure = isinstance(outcome, QueryError)
            requests = self._requests(self._on_failure(task, outcome) if is_failure else task.on_answer(outcome))
        except Exception as error:
            self._failures.append(error if isinstance(error, UnusableError) else as_query_error(error))
            self._is_stopped = True
            return []
        self._on_answer()
        return requests

    def _on_failure(self, task: QueryTask, failure: Any) -> Sequence[QueryTask]:
        if failure.result == Result.REQUEST_REJECTED and task.on_rejected is not None:
            task.on_rejected()
            return ()
        self._failures.append(failure)
        if task.fallback is not None and effect_of(failure).allows_fallback:
            return task.fallback()
        self._is_stopped = self._is_stopped or effect_of(failure).stops_source
        return ()

    def _causes(self) -> List[str]:
        """List the failures, without those that only followed from another."""
        first = [each for each in self._failures if not getattr(each, "is_consequence", False)]
        rejected = map(bad_answer, self._window.warnings)
        return list(dict.fromkeys(map(str, [*(first or self._failures[:1]), *rejected])))
