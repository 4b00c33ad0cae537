"""What a keeper gives out of a state that may hang, and how it tells what was not answered."""

from __future__ import annotations

import threading
from typing import Callable, Sequence, TypeVar, Union

from ..clock import Clock
from ..cloud import as_query_error
from ..errors import QueryError, Result
from ..scheduling.worker_pool import Crew
from ..state import Store, UnusableError
from .problems import Problem

T = TypeVar("T")
CUT = "the cycle ended before this was given out; the next one has it"


def give_in_time(
    clock: Clock, store: Store, give_up: float, give: Callable[[Callable[[], bool]], T]
) -> Union[T, QueryError, UnusableError]:
    """Return the result of `give`, or the error that prevented it.

    Args:
        clock: tells the time.
        store: the state, which may hang.
        give_up: when nobody waits any more, in monotonic seconds.
        give: takes a function that tells whether somebody still waits.
    """
    late = threading.Event()
    made = Crew(clock).do({"": lambda: give(lambda: not late.is_set())}, give_up=give_up).get("")
    late.set()
    if made is None:
        return store.hang_error() if store.hangs else QueryError(Result.TIMED_OUT, CUT)
    if isinstance(made, UnusableError):
        return made
    return as_query_error(made) if isinstance(made, Exception) else made


def lost(where: str, part: str, what: str, why: Union[QueryError, UnusableError]) -> Problem:
    """Say what the state, or a fault of this plugin, costs a part of a place."""
    text = why.line(what) if isinstance(why, UnusableError) else f"{why} ({what.lower()})"
    return Problem("W", f"{where}: {text}", f"{where} {part}")


def told(failures: Sequence[QueryError], missing: str) -> str:
    """Write one line: the first failure of a query that was sent, the number of others, and what is missing."""
    first = next((failure for failure in failures if not failure.is_consequence), failures[0])
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{first} ({missing}{more})"
