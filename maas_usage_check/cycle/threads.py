"""Ask many questions at once, and come back in time whatever hangs.

Daemon threads, because one that hangs must not keep the process: the standard thread pool joins its threads at
exit. They only hand in results; the caller alone decides when it is over.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Callable, Dict, Optional, Sequence, Tuple, Union

from ..clock import Clock
from ..cloud.client import Answer
from ..cloud.session import Session
from ..cloud.statistics import Query
from ..errors import MaasError, QueryError, Result

Outcome = Union[Answer, QueryError]
if TYPE_CHECKING:
    Results = queue.SimpleQueue[Optional[Tuple[Query, Outcome]]]
else:
    Results = queue.SimpleQueue
"""Pairs of query and outcome, or None to end at once. A signal handler may put None: this queue's put is reentrant."""


def ask_all(
    session: Session,
    queries: Sequence[Query],
    workers: int,
    results: Results,
    give_up: float,
    clock: Clock,
    progress: Callable[[], None],
) -> Dict[Query, Outcome]:
    """Connect, ask every query with so many workers, and return the outcomes there are by `give_up` (monotonic)."""
    waiting = deque(queries)

    def work() -> None:
        while waiting:
            try:
                query = waiting.popleft()
            except IndexError:  # another worker was faster
                return
            try:
                results.put((query, session.ask(query)))
            except Exception as error:
                results.put((query, failure(error)))

    def conduct() -> None:
        try:
            session.connect()
        except Exception as error:
            for query in queries:
                results.put((query, failure(error)))
            return
        for _ in range(min(workers, len(queries)) - 1):
            _start(work)
        work()

    _start(conduct)
    outcomes: Dict[Query, Outcome] = {}
    while len(outcomes) < len(queries):
        try:
            result = results.get(timeout=max(0.0, give_up - clock.monotonic()))
        except queue.Empty:
            break
        if result is None:
            break
        outcomes[result[0]] = result[1]
        progress()
    waiting.clear()
    return outcomes


def failure(error: Exception) -> QueryError:
    """Turn whatever a worker met into a failed query: a fault of ours must not look like a time-out."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, MaasError):
        return QueryError(Result.INTERNAL, str(error))
    return QueryError(Result.INTERNAL, f"a fault in this plugin ({type(error).__name__}): please report it")


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True, name="maas-usage-check").start()
