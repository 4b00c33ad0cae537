"""The stage `Cloud Eye`: permissions of the access key, age of the newest minute, comparison with the statistics."""

from __future__ import annotations

from typing import Set

from ...cloud.cloud_eye import CloudEye, DataQuery, Dimensions, Listing, ListQuery, MetricData
from ...cloud.cloud_eye.metric_data import MINUTE, max_metrics_per_query
from ...cloud.cloud_eye.metric_list import PAGE_SIZE, Page, add_page
from ...cloud.json_body import bad_answer
from ...collection import Session
from ...config import Instance
from ...config.ranges import Window
from ...errors import QueryError
from ...ledger import Account
from ...ledger.hour_values import HOUR
from ...ledger.models_window import ModelsWindow
from ...ledger.window import whole_hours
from ...scheduling import Priority
from ...state import Store
from ..comparison import compare
from ..waiting_queries import attempt, query_cloud
from .finding import OK, WARN, Finding, mark_error

STAGE = "Cloud Eye"
QUERIED_MINUTES = 60
"""Of the first models only, if one request cannot query so many minutes of all."""
COMPARED_HOURS = 168
SOURCE = CloudEye()


def check_cloud_eye(instance: Instance, session: Session, store: Store, now_ms: int) -> Finding:
    """Query the first page of the metric list and the calls of the last minutes.

    Args:
        instance: the owner of the models.
        session: connected.
        store: the ledger with the hours to compare.
        now_ms: milliseconds since 1970.
    """
    page = query_cloud(session, SOURCE, ListQuery(), Priority.LIVE)
    if isinstance(page, QueryError):
        return _failed(page)
    listed = _listed(page)
    models, key_ids = sorted({each.api_id for each in listed}), {each.key_id for each in listed if each.key_id}
    if not models:
        reason = "no call in the last 3 hours, or only in another project or region"
        return Finding(WARN, STAGE, f"the key may list metrics, but there are none: {reason}")
    end = now_ms // MINUTE * MINUTE
    metrics = tuple((Dimensions(model), "rpm") for model in models[: max_metrics_per_query(QUERIED_MINUTES)])
    query = DataQuery(metrics, end - QUERIED_MINUTES * MINUTE, end, MINUTE)
    data = query_cloud(session, SOURCE, query, Priority.LIVE)
    if isinstance(data, QueryError):
        return _failed(data)
    if data.warnings:
        return _failed(bad_answer(data.warnings[0]))
    more = "at least " if len(page.metrics) >= PAGE_SIZE else ""
    text = f"{more}{len(models)} models and {len(key_ids)} keys; {_newest_minute(data, end)}"
    return Finding(OK, STAGE, f"{text}; {_comparison(instance, session, store, now_ms)}")


def _failed(error: QueryError) -> Finding:
    return Finding(mark_error(error), STAGE, str(error))


def _listed(page: Page) -> Set[Dimensions]:
    listing = Listing()
    add_page(listing, page)
    return set(listing.metrics)


def _newest_minute(data: MetricData, end_ms: int) -> str:
    minutes = (at for values in data.values.values() for at, calls in values.items() if calls["rpm"])
    newest = max(minutes, default=None)
    if newest is None:
        return "no call in the last hour: nobody called, or Cloud Eye is late"
    return f"the newest minute with a call ended {(end_ms - newest) // MINUTE - 1} min ago"


def _comparison(instance: Instance, session: Session, store: Store, now_ms: int) -> str:
    """Compare the hours of the last 7 days in the ledger."""
    window = whole_hours(Window(now_ms - COMPARED_HOURS * HOUR, now_ms), now_ms, is_models=True)
    account = Account(session.project_id, session.key_name)

    def compare_hours() -> str:
        known = ModelsWindow(instance, store, account, [window], now_ms).read()
        return compare(instance, store, account, known.tokens(window), now_ms)

    return str(attempt(instance.timeout, compare_hours)).rstrip(".")
