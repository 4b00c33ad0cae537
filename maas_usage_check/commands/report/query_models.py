"""Hours of models for `report --models`: from the ledger, and from Cloud Eye where the ledger has none."""

from __future__ import annotations

from functools import partial
from typing import Callable, List, NamedTuple, Optional, Sequence, TypeVar

from ...clock import Clock
from ...cloud import DirectTransport, as_query_error, provider
from ...cloud.cloud_eye import CloudEye, Listing, ListQuery
from ...cloud.cloud_eye.metric_list import add_page
from ...cloud.json_body import bad_answer
from ...collection import Collector, Session
from ...config import Instance
from ...errors import QueryError, Result
from ...ledger import Account
from ...ledger.models.lookup_models import KnownModels, lookup_models
from ...scheduling import WINDOW_S, Priority, Schedulers
from ...state import Warn
from ...watchdog import Watched, run_with_deadline
from ..runner import log_waits
from ..waiting_queries import connect, query_all, query_one

T = TypeVar("T")
SOURCE = CloudEye()
CLOSE_S = 0.5
"""Seconds that the state may take at the end."""


class ModelsResult(NamedTuple):
    """Hold the known hours of an instance's models, their account, and the failed queries."""

    known: Optional[KnownModels]
    account: Account
    failures: List[QueryError]


def query_models(
    instance: Instance,
    transport: DirectTransport,
    hours: Sequence[int],
    schedulers: Schedulers,
    clock: Clock,
    now_ms: int,
    warn: Warn,
) -> ModelsResult:
    """Read hours from the ledger and query the missing ones, within the instance's deadline.

    Args:
        instance: the owner of the models.
        transport: sends the requests.
        hours: beginnings of the hours, in milliseconds since 1970.
        schedulers: of all access keys.
        clock: measures the deadline.
        now_ms: milliseconds since 1970.
        warn: logs one line.
    """
    credentials = provider(instance.credentials)
    collector = Collector(instance, credentials, transport, schedulers, clock, rate_extension_s=WINDOW_S)
    session = Session(collector, instance.deadline)
    session.group.on_wait = log_waits(warn, instance)

    def run_until_deadline(task: Callable[[], T]) -> T:
        watched = Watched(task)
        if not watched.wait(clock, lambda: session.group.deadline + CLOSE_S):
            store = schedulers.store
            raise QueryError(Result.TIMED_OUT, str(store.hang_error()) if store.hangs else session.late)
        try:
            return watched.result()
        except Exception as error:
            raise as_query_error(error) from None

    failures: List[QueryError] = []
    known: Optional[KnownModels] = None
    try:
        run_until_deadline(partial(connect, session))
        known = run_until_deadline(
            partial(lookup_models, instance, schedulers.store, session.project_id, hours, now_ms)
        )
        if known.needs_list(hours):
            try:
                known.update_list(run_until_deadline(partial(_read_list, session)))
            except QueryError as error:
                failures.append(error)
        missing = list(known.missing_queries(hours))
        queries = [query for query, _ in missing]
        answers = run_until_deadline(partial(query_all, session, SOURCE, queries, Priority.BY_HAND))
        for (query, batch), answer in zip(missing, answers):
            if isinstance(answer, QueryError):
                failures.append(answer)
            else:
                known.on_answer(query, batch, answer)
                failures += [bad_answer(doubt) for doubt in answer.warnings]
    except QueryError as error:
        failures.append(error)
    finally:
        session.is_over = True
        run_with_deadline(session.close, clock, CLOSE_S)
    return ModelsResult(known, Account(session.project_id, session.key_name), failures)


def _read_list(session: Session) -> Listing:
    """Read all pages of the metric list; raise QueryError."""
    listing, query = Listing(), ListQuery()
    while True:
        page = query_one(session, SOURCE, query, Priority.LIVE)
        add_page(listing, page)
        if page.marker is None:
            return listing
        query = ListQuery(page.marker)
