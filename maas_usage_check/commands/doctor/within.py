"""Work that might hang, done within a time, as a result or as an error."""

from __future__ import annotations

from typing import Callable, List, Sequence, TypeVar, Union

from ...clock import Clock
from ...cloud import as_query_error
from ...errors import QueryError, Result
from ...scheduling import Crew

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> Union[T, QueryError]:
    """Do something that might hang; return its result or its error."""
    return all_within(seconds, [work])[0]


def all_within(seconds: float, works: Sequence[Callable[[], T]], workers: int = 1) -> List[Union[T, QueryError]]:
    """Do several things that might hang; return the result of each, or its error."""
    clock = Clock()
    ended = Crew(clock).do(dict(enumerate(works)), workers, clock.monotonic() + seconds + 0.5)
    late = QueryError(Result.TIMED_OUT, f"nothing came back in {seconds:g} s: check the network, or raise timeout")
    return [_result(ended.get(place, late)) for place in range(len(works))]


def _result(ended: Union[T, Exception]) -> Union[T, QueryError]:
    if isinstance(ended, (OSError, UnicodeError)):
        return QueryError(Result.NETWORK, str(ended))
    return as_query_error(ended) if isinstance(ended, Exception) else ended
