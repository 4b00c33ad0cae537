"""The interface of planners, which decide which queries the ledger needs, and store their answers."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
)

from msgspec import Struct, field

from ..cloud import Api
from ..cloud.source import HourSeries
from ..errors import Problem, QueryError
from ..metrics import Number, Point
from ..scheduling import Priority
from ..state import UnusableError
from .hour_store import HourStore
from .schema import Transaction
from .watermarks import Consumer

if TYPE_CHECKING:
    from .budgets import Budget

Failure = Union[QueryError, UnusableError]


class Account(Struct, frozen=True):
    """The project that is queried, and a digest of the access key. Each is empty while it is not known."""

    project_id: str = ""
    access_key_digest: str = field(name="key", default="")


class QueryTask(NamedTuple):
    """One query of a planner.

    Attributes:
        priority: a Priority, then the order among the queries of that priority.
        query: the source's own.
        on_answer: takes the answer and returns the queries that follow from it.
        on_rejected: called where the cloud rejects the query, if that is no failure.
        fallback: makes the queries to send after a failure that they may not meet.
    """

    priority: Tuple[int, ...]
    query: Any
    on_answer: Callable[[Any], Sequence[QueryTask]]
    on_rejected: Optional[Callable[[], None]] = None
    fallback: Optional[Callable[[], Sequence[QueryTask]]] = None

    @property
    def is_live(self) -> bool:
        """True if it is about the present: a later cycle cannot send it."""
        return self.priority[0] == Priority.LIVE


class CycleEnd(Struct, frozen=True):
    """The end of a cycle.

    Attributes:
        account: whose usage it is, as far as it is known.
        now_ms: the cycle's time.
        tags: of every point.
        answered: whether any query for ranges succeeded.
        ends: of each query of the planner, None or why it failed.
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


class PartialBatch(NamedTuple):
    """The part of a planner in a batch; see Batch for `answered`.

    `is_partial`: something is missing though no query failed.
    """

    points: List[Point]
    health: Dict[str, Number]
    problems: List[Problem]
    is_partial: bool = False
    answered: AbstractSet[str] = frozenset()


class Stored(NamedTuple):
    """The series of a planner whose points a cycle emits, with their hours, and the first hour of this instance.

    `is_paused`: hours and budgets are not emitted and counters stay. `counts_all`: a series that is new to the consumer
    counts from its first token on, because the consumer was there before the series.
    """

    series: Sequence[Tuple[HourSeries, HourStore, int]]
    is_paused: bool = False
    counts_all: bool = False
    budgets: Sequence[Budget] = ()


class Texts(NamedTuple):
    """The words of a planner's problems: its topic, the prefix of failures, and the effect of each failure."""

    topic: str
    prefix: str
    unanswered: str
    unplanned: str
    paused: str


class Planner(Protocol):
    """The queries of one source in one cycle. Methods raise UnusableError where the state cannot be used.

    `has_hours`: the ledger keeps hours of it, and they are emitted.
    """

    texts: Texts
    has_hours: bool

    @property
    def source(self) -> Api:
        """Return the API that it queries."""

    def plan(self, account: Account, answered: bool) -> Sequence[QueryTask]:
        """Plan a cycle's queries; `answered`: whether any query for ranges succeeded."""

    def finish(self) -> Sequence[str]:
        """Store which series were queried; return a text for each rejected value."""

    def is_answered(self, end: CycleEnd) -> bool:
        """Return whether the cloud said anything of usage. If not, no history begins and no zeros are emitted."""

    def stored(self, transaction: Transaction, account: Account, consumer: Consumer, answered: bool) -> Stored:
        """Read the series that the cycle emits, and begin histories."""

    def details(self, end: CycleEnd, emitted: bool) -> PartialBatch:
        """Build the planner's own points, health and problems; `emitted`: whether the emission succeeded."""


def state_problem(where: str, part: str, missing: str, why: Failure) -> Problem:
    """Make the problem of a part that the state, or a fault of this plugin, prevented."""
    text = why.line(missing) if isinstance(why, UnusableError) else f"{why} ({missing.lower()})"
    return Problem("W", f"{where}: {text}", f"{where} {part}")
