"""What a keeper gives out of a state that may hang, and how it tells what was not answered."""

from __future__ import annotations

import threading
from typing import Callable, Sequence, TypeVar, Union

from ..clock import Clock
from ..cloud import failure
from ..errors import QueryError
from ..store import UnusableError
from .crew import Crew

T = TypeVar("T")


def give_in_time(clock: Clock, give_up: float, give: Callable[[Callable[[], bool]], T]) -> Union[T, QueryError, None]:
    """Return what is given out, or why it cannot be; None where the state hangs or cannot be written.

    Args:
        clock: tells the time.
        give_up: when nobody waits any more, in monotonic seconds.
        give: takes a function that tells whether somebody still waits.
    """
    late = threading.Event()
    made = Crew(clock).do({"": lambda: give(lambda: not late.is_set())}, give_up=give_up).get("")
    late.set()
    if isinstance(made, UnusableError):
        return None
    return failure(made) if isinstance(made, Exception) else made


def told(failures: Sequence[QueryError], lost: str) -> str:
    """Tell the first of several failures, how many more there are, and what they cost."""
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{failures[0]} ({lost}{more})"
