"""What is asked after the ranges, as far as rate and deadline leave room, and what it adds to a batch at the end."""

from __future__ import annotations

from functools import partial
from typing import AbstractSet, Callable, Dict, List, NamedTuple, Optional, Protocol, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..clock import Clock
from ..cloud import Api, as_query_error
from ..errors import QueryError, Result
from ..ledger import INCREMENTS, Account, Consumer
from ..metrics import Number, Point
from ..scheduling import PriorityQueue, QueryTask, Session
from ..scheduling.worker_pool import Crew
from ..state import UnusableError
from .problems import Problem

GIVING = 3.0
"""Seconds that giving out may take after the deadline: a folder of the state that hangs must not keep the cycle."""
PASSED_OVER = frozenset({Result.NETWORK, Result.SERVER_ERROR, Result.BAD_ANSWER, Result.REQUEST_REJECTED})
"""Failures of one question; after any other the rest would fare alike."""
HAS_ANOTHER = PASSED_OVER | {Result.TIMED_OUT}
"""Failures after which what is to be asked instead is."""


class Share(NamedTuple):
    """Hold what a keeper adds to a batch; see Batch for `answered`.

    `is_partial` says that something is missing though no question failed.
    """

    points: List[Point]
    health: Dict[str, Number]
    problems: List[Problem]
    is_partial: bool = False
    answered: AbstractSet[str] = frozenset()


class Cycle(Struct, frozen=True):
    """Hold what is known of a cycle at its end.

    `now` is its time in milliseconds, `tags` are those of every point, `answered` tells whether any range was, and
    `give_up` is when nobody waits any more, in monotonic seconds; `trouble` is what the keeper met in the state before.
    """

    account: Account
    now: int
    tags: Dict[str, str]
    answered: bool
    give_up: float
    trouble: Optional[UnusableError] = None


class Keeper(Protocol):
    """One kind of what is asked after the ranges."""

    @property
    def source(self) -> Api:
        """Name whom it asks."""

    def asks(self, account: Account, now: int, answered: bool) -> Sequence[QueryTask]:
        """List its questions; `answered` tells whether any range was."""

    def asked(self, now: int) -> Sequence[QueryError]:
        """Take note that the asking is over; return what of the answers was not believed."""

    def give(self, cycle: Cycle, ends: Sequence[Optional[QueryError]]) -> Share:
        """Make its share of a batch, knowing of each question None, or why it failed."""


class Spare:
    """Ask for all keepers of one instance, the most urgent first, and give out what they have. One cycle at a time."""

    def __init__(self, keepers: Sequence[Keeper], consumer: Consumer, workers: int, clock: Clock) -> None:
        self._keepers = keepers
        self._consumer = consumer
        self._workers = workers
        self._clock = clock
        self._ends: List[List[Optional[QueryError]]] = [[] for _ in keepers]
        self._troubles: Dict[int, UnusableError] = {}

    @property
    def counts_once(self) -> bool:
        """Tell whether what is given out must not be lost."""
        return self._consumer.kind == INCREMENTS

    def ask(self, session: Session, crew: Crew, now: int, give_up: float, answered: bool) -> List[Optional[QueryError]]:
        """Ask what there is to ask, until all is answered or the time is up.

        Return for each question None, or why it failed; what is left for a later cycle is no failure.

        Args:
            session: connected.
            crew: does it.
            now: the cycle's time, in milliseconds.
            give_up: monotonic seconds.
            answered: whether any range was.
        """
        self._ends, self._troubles = [[] for _ in self._keepers], {}
        account = Account(session.project_id, session.key_name)
        listing = {i: partial(each.asks, account, now, answered) for i, each in enumerate(self._keepers)}
        begun: Dict[int, Sequence[QueryTask]] = {}
        for i, asks in crew.do(listing, give_up=give_up).items():
            if not isinstance(asks, Exception):
                begun[i] = asks
            elif isinstance(asks, UnusableError):
                self._troubles[i] = asks
            else:
                self._ends[i].append(as_query_error(asks))
        work = PriorityQueue(begun)
        workers = dict.fromkeys(range(self._workers), partial(self._work, work, session, give_up))
        crew.do(workers, self._workers, give_up)
        work.stop()
        for i, ask in work.left():
            if ask.is_live:  # of the present there is no later
                self._ends[i].append(self._why(i, session.not_sent()))
        noting = {i: partial(each.asked, now) for i, each in enumerate(self._keepers)}
        noted = Crew(self._clock).do(noting, give_up=self._clock.monotonic() + GIVING)
        for i, doubts in noted.items():
            if isinstance(doubts, UnusableError):
                self._troubles[i] = doubts
            elif not isinstance(doubts, Exception):
                self._ends[i] += doubts
        return [end for ends in self._ends for end in ends]

    def give(self, session: Session, now: int, tags: Dict[str, str], answered: bool, deadline: float) -> Share:
        """Put the shares of all keepers together.

        Args:
            session: knows whose hours they are, if it was connected.
            now: the cycle's time, in milliseconds.
            tags: of every point.
            answered: whether any range was.
            deadline: the cycle's, in monotonic seconds.
        """
        give_up = max(deadline, self._clock.monotonic() + GIVING)
        cycle = Cycle(Account(session.project_id, session.key_name), now, tags, answered, give_up)
        asked, self._ends = self._ends, [[] for _ in self._keepers]
        troubles, self._troubles = self._troubles, {}
        shares = [
            keeper.give(replace(cycle, trouble=troubles.get(i)), ends)
            for i, (keeper, ends) in enumerate(zip(self._keepers, asked))
        ]
        return Share(
            [point for share in shares for point in share.points],
            {name: value for share in shares for name, value in share.health.items()},
            [problem for share in shares for problem in share.problems],
            any(share.is_partial for share in shares),
            {key for share in shares for key in share.answered},
        )

    def _why(self, keeper: int, late: QueryError) -> QueryError:
        return next((end for end in reversed(self._ends[keeper]) if end is not None), late)

    def _work(self, work: PriorityQueue, session: Session, give_up: float) -> None:
        for i, ask in iter(work.take, None):
            follow: Sequence[QueryTask] = ()
            try:
                follow = self._answer(session, i, ask, partial(work.goes, i, ask))
            except UnusableError as trouble:
                self._troubles[i] = trouble
                work.drop(i)
            except Exception as error:
                self._note(work, i, ask, as_query_error(error), give_up)
            finally:
                work.done(i, ask, follow)

    def _answer(self, session: Session, keeper: int, ask: QueryTask, goes: Callable[[], None]) -> Sequence[QueryTask]:
        """Ask it; return what follows from its answer, or what is asked instead."""
        try:
            follow = ask.on_answer(session.ask_spare(self._keepers[keeper].source, ask.query, goes))
        except QueryError as failed:
            if ask.fallback is None or failed.result not in HAS_ANOTHER:
                raise
            self._ends[keeper].append(failed)
            return ask.fallback()
        self._ends[keeper].append(None)
        return follow

    def _note(self, work: PriorityQueue, keeper: int, ask: QueryTask, failed: QueryError, give_up: float) -> None:
        if failed.result == Result.REQUEST_REJECTED and ask.on_rejected is not None:
            ask.on_rejected()
            return
        if failed.result not in PASSED_OVER:
            work.drop(keeper)
        # A query that was not sent is sent in a later cycle, unless it is of the present.
        deferred = failed.is_consequence and failed.result != Result.THROTTLED
        if ask.is_live or not (deferred or self._clock.monotonic() >= give_up):
            self._ends[keeper].append(failed)
