"""Hours of models for `report --models`: from the ledger, and from Cloud Eye where the ledger has none."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, TypeVar

from ...clock import Clock
from ...cloud import DirectTransport, as_query_error, provider
from ...cloud.cloud_eye import CloudEye, Listing, ListQuery
from ...cloud.cloud_eye.metric_list import add_page
from ...cloud.json_body import bad_answer
from ...config import Instance
from ...errors import QueryError, Result
from ...ledger import Account
from ...ledger.models.lookup_models import KnownModels, lookup_models
from ...scheduling import Crew, Gates, Session

T = TypeVar("T")
SOURCE = CloudEye()


class ModelsResult(NamedTuple):
    """Hold the known hours of an instance's models, their account, and the failed queries."""

    known: Optional[KnownModels]
    account: Account
    failures: List[QueryError]


def query_models(
    instance: Instance, transport: DirectTransport, hours: Sequence[int], gates: Gates, clock: Clock, now_ms: int
) -> ModelsResult:
    """Read hours from the ledger and query the missing ones, within the instance's deadline.

    Args:
        instance: the owner of the models.
        transport: sends the requests.
        hours: beginnings of the hours, in milliseconds since 1970.
        gates: the schedulers of the access keys.
        clock: measures the deadline.
        now_ms: milliseconds since 1970.
    """
    deadline = clock.monotonic() + instance.deadline
    late = f"no answer within the deadline of {instance.deadline:g} s: raise deadline"
    session = Session(instance, provider(instance.credentials), transport, gates, clock, deadline, {}, late=late)
    timed_out = QueryError(Result.TIMED_OUT, late)

    def run_until_deadline(task: Callable[[], T]) -> T:
        result = Crew(clock).do({"": task}, give_up=deadline).get("", timed_out)
        if result is timed_out and gates.store.hangs:
            raise QueryError(Result.TIMED_OUT, str(gates.store.hang_error()))
        if isinstance(result, Exception):
            raise as_query_error(result)
        return result

    failures: List[QueryError] = []
    known: Optional[KnownModels] = None
    try:
        run_until_deadline(session.connect)
        known = run_until_deadline(partial(lookup_models, instance, gates.store, session.project_id, hours, now_ms))
        if known.needs_list(hours):
            try:
                known.update_list(run_until_deadline(partial(_read_list, session)))
            except QueryError as error:
                failures.append(error)
        missing = list(known.missing_queries(hours))
        tasks = {query: partial(session.ask_spare, SOURCE, query) for query, _ in missing}
        results = Crew(clock).do(tasks, instance.max_concurrency, deadline)
        for query, batch in missing:
            answer: Any = results.get(query, timed_out)
            if isinstance(answer, Exception):
                failures.append(as_query_error(answer))
            else:
                known.on_answer(query, batch, answer)
                failures += [bad_answer(doubt) for doubt in answer.warnings]
    except QueryError as error:
        failures.append(error)
    finally:
        session.stop()
        Crew(clock).do({"": partial(session.close, ())}, give_up=clock.monotonic() + 0.5)
    return ModelsResult(known, Account(session.project_id, session.key_name), failures)


def _read_list(session: Session) -> Listing:
    """Read all pages of the metric list; raise QueryError."""
    listing, query = Listing(), ListQuery()
    while True:
        page = session.ask_spare(SOURCE, query)
        add_page(listing, page)
        if page.marker is None:
            return listing
        query = ListQuery(page.marker)
