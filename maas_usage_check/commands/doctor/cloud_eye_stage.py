"""What Cloud Eye tells of models: whether the key may list and read them, how fresh they are, how they compare."""

from __future__ import annotations

from functools import partial
from typing import Set

from ...cloud.cloud_eye import CloudEye, Data, DataQuery, Dimensions, Listing, ListQuery
from ...cloud.cloud_eye.metric_data import MINUTE, most_metrics
from ...cloud.cloud_eye.metric_list import PAGE, Page, add_page
from ...cloud.json_body import bad_answer
from ...config import Instance
from ...errors import QueryError
from ...ledger import Account
from ...ledger.hour_values import HOUR
from ...ledger.models.lookup_models import complete_hours_until, lookup_models
from ...scheduling import Session
from ...state import Store
from ..comparison import compare
from .finding import OK, WARN, Finding, mark_of
from .within import within

STAGE = "Cloud Eye"
ASKED = 60
"""Minutes: of more models than an answer holds of them the first are asked."""
COMPARED = 168
"""Hours."""
SOURCE = CloudEye()


def verdict(instance: Instance, session: Session, store: Store, now: int) -> Finding:
    """Ask for the first page of the list and for the calls of the last minutes, and say what they tell.

    Args:
        instance: whose models they are.
        session: connected.
        store: has the hours to compare.
        now: milliseconds since 1970.
    """
    page = within(instance.timeout, partial(session.ask, SOURCE, ListQuery()))
    if isinstance(page, QueryError):
        return _failed(page)
    listed = _listed(page)
    models, keys = sorted({each.api_id for each in listed}), {each.key_id for each in listed if each.key_id}
    if not models:
        return Finding(
            WARN, STAGE, "the key may list metrics, but there are none: nobody called in the last 3 hours, or elsewhere"
        )
    until = now // MINUTE * MINUTE
    asked = tuple((Dimensions(model), "rpm") for model in models[: most_metrics(ASKED)])
    query = DataQuery(asked, until - ASKED * MINUTE, until, MINUTE)
    data = within(instance.timeout, partial(session.ask, SOURCE, query))
    if isinstance(data, QueryError):
        return _failed(data)
    if data.doubts:
        return _failed(bad_answer(data.doubts[0]))
    more = "at least " if len(page.metrics) >= PAGE else ""
    text = f"{more}{len(models)} models and {len(keys)} keys; {_fresh(data, until)}"
    return Finding(OK, STAGE, f"{text}; {_compared(instance, session, store, now)}")


def _failed(error: QueryError) -> Finding:
    return Finding(mark_of(error), STAGE, str(error))


def _listed(page: Page) -> Set[Dimensions]:
    listing = Listing()
    add_page(listing, page)
    return set(listing.metrics)


def _fresh(data: Data, until: int) -> str:
    minutes = (at for values in data.values.values() for at, calls in values.items() if calls["rpm"])
    newest = max(minutes, default=None)
    if newest is None:
        return "no call in the last hour: nobody called, or Cloud Eye is late"
    return f"the newest minute with a call ended {(until - newest) // MINUTE - 1} min ago"


def _compared(instance: Instance, session: Session, store: Store, now: int) -> str:
    """Compare the hours that the ledgers hold of the last 7 days."""
    until = complete_hours_until(now)
    hours = range(until - COMPARED * HOUR, until, HOUR)

    def look() -> str:
        known = lookup_models(instance, store, session.project_id, hours, now)
        account = Account(session.project_id, session.key_name)
        return compare(instance, store, account, known.tokens_by_hour(hours), now)

    told = within(instance.timeout, look)
    return str(told).rstrip(".")
