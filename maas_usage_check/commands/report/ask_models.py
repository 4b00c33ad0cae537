"""What `report --models` asks: nothing that the ledger holds, else the list of models and their hours."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, TypeVar

from ...clock import Clock
from ...cloud import DirectTransport, failure, provider
from ...cloud.cloud_eye import CloudEye, Listing, ListQuery
from ...cloud.cloud_eye.metric_list import add_page
from ...cloud.json_body import bad_answer
from ...config import Instance
from ...errors import QueryError, Result
from ...ledger import Account
from ...ledger.models.lookup_models import KnownModels, look_at_models
from ...scheduling import Crew, Gates, Session

T = TypeVar("T")
SOURCE = CloudEye()


class Found(NamedTuple):
    """Hold what is known of an instance's models in the end, whose they are, and what went unanswered."""

    known: Optional[KnownModels]
    account: Account
    failures: List[QueryError]


def find_models(
    instance: Instance, transport: DirectTransport, hours: Sequence[int], gates: Gates, clock: Clock, now: int
) -> Found:
    """Look up and ask about hours, named by their beginnings in milliseconds, within the instance's deadline."""
    give_up = clock.monotonic() + instance.deadline
    why = f"no answer within the deadline of {instance.deadline:g} s: raise deadline"
    session = Session(instance, provider(instance.credentials), transport, gates, clock, give_up, {}, late=why)
    late = QueryError(Result.TIMED_OUT, why)

    def within(work: Callable[[], T]) -> T:
        ended = Crew(clock).do({"": work}, give_up=give_up).get("", late)
        if ended is late and gates.store.hangs:
            raise QueryError(Result.TIMED_OUT, str(gates.store.hang_error()))
        if isinstance(ended, Exception):
            raise failure(ended)
        return ended

    failures: List[QueryError] = []
    known: Optional[KnownModels] = None
    try:
        within(session.connect)
        known = within(partial(look_at_models, instance, gates.store, session.project_id, hours, now))
        if known.needs_list(hours):
            try:
                known.take(within(partial(_list, session)))
            except QueryError as error:
                failures.append(error)
        asked = list(known.missing(hours))
        works = {query: partial(session.ask_spare, SOURCE, query) for query, _ in asked}
        ended = Crew(clock).do(works, instance.max_concurrency, give_up)
        for query, batch in asked:
            answer: Any = ended.get(query, late)
            if isinstance(answer, Exception):
                failures.append(failure(answer))
            else:
                known.learn(query, batch, answer)
                failures += [bad_answer(doubt) for doubt in answer.doubts]
    except QueryError as error:
        failures.append(error)
    finally:
        session.stop()
        Crew(clock).do({"": partial(session.close, ())}, give_up=clock.monotonic() + 0.5)
    return Found(known, Account(session.project_id, session.key_name), failures)


def _list(session: Session) -> Listing:
    """Read the whole list; raise QueryError."""
    listing, query = Listing(), ListQuery()
    while True:
        page = session.ask_spare(SOURCE, query)
        add_page(listing, page)
        if page.marker is None:
            return listing
        query = ListQuery(page.marker)
