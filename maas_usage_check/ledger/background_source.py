"""The interface of a background source, and its part of a batch."""

from __future__ import annotations

from typing import AbstractSet, Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Sequence, Union

from msgspec import Struct

from ..cloud import Api
from ..errors import Problem, QueryError
from ..metrics import Number, Point
from ..state import UnusableError
from .hour_planner import Account
from .query_task import QueryTask

Failure = Union[QueryError, UnusableError]


class PartialBatch(NamedTuple):
    """What a source adds to a batch; see Batch for `answered`.

    `is_partial`: something is missing though no query failed.
    """

    points: List[Point]
    health: Dict[str, Number]
    problems: List[Problem]
    is_partial: bool = False
    answered: AbstractSet[str] = frozenset()


class CycleEnd(Struct, frozen=True):
    """What a source knows at the end of a cycle.

    Attributes:
        account: whose usage it is, as far as it is known.
        now_ms: the cycle's time.
        tags: of every point.
        answered: whether any query for ranges succeeded.
        ends: of each query of the source, None or why it failed.
        failure: what prevented some of them from being planned.
        commit: called just before a transaction commits; False rolls it back.
    """

    account: Account
    now_ms: int
    tags: Dict[str, str]
    answered: bool
    ends: Sequence[Optional[QueryError]]
    failure: Optional[UnusableError]
    commit: Callable[[], bool]

    @property
    def failures(self) -> List[QueryError]:
        """List the failures of queries."""
        return [end for end in self.ends if end is not None]


class BackgroundSource(Protocol):
    """One kind of background query. Methods raise UnusableError where the state cannot be used."""

    @property
    def api(self) -> Api:
        """Return the API that it calls."""

    def plan(self, account: Account, now_ms: int, answered: bool) -> Sequence[QueryTask]:
        """Plan a cycle's queries; `answered`: whether any query for ranges succeeded."""

    def finish(self, now_ms: int) -> Sequence[QueryError]:
        """Store the answers; return an error for each rejected value."""

    def emit(self, end: CycleEnd) -> Any:
        """Read the changes from the ledger, and store that they were emitted."""

    def build(self, end: CycleEnd, emitted: Any) -> PartialBatch:
        """Build points and problems from the result of `emit`, or from the Failure that prevented it."""


def first_failure(failures: Sequence[QueryError], missing: str) -> str:
    """Write one line: the first failure of a query that was sent, the number of others, and the missing data."""
    first = next((failure for failure in failures if not failure.is_consequence), failures[0])
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{first} ({missing}{more})"


def state_problem(where: str, part: str, missing: str, why: Failure) -> Problem:
    """Make the problem of a part that the state, or a fault of this plugin, prevented."""
    text = why.line(missing) if isinstance(why, UnusableError) else f"{why} ({missing.lower()})"
    return Problem("W", f"{where}: {text}", f"{where} {part}")
