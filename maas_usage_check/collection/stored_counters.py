"""The counters that the state has for an instance before its first cycle."""

from __future__ import annotations

from typing import List

from ..config import is_project_id
from ..errors import QueryError
from ..metrics import Point
from ..scheduling import Schedulers
from ..scheduling.key_state import KeyEntry
from ..state import Store
from .collector import Collector


def stored_counters(collector: Collector, store: Store) -> List[Point]:
    """Read the counters of an instance as its next cycle will label them. Nothing is sent, counted or stored.

    Args:
        collector: the instance's.
        store: the state. Not that of the cycles, which must not wait for this.

    Raises:
        UnusableError: the state cannot be used, or there is none.
    """
    consumer, instance = collector.consumer, collector.instance
    if consumer is None:
        return []
    from ..ledger import Account, CycleEnd, read_counters

    with store.snapshot():  # raises if there is no state: none is created
        pass
    project_id = instance.project_id or _stored_project(collector, store)
    now_ms = int(collector.clock.now() * 1000)
    end = CycleEnd(
        Account(project_id), now_ms, {**instance.user_tags, "region": instance.region}, False, (), None, lambda: False
    )
    planners = [
        make_planner(source, instance, store, consumer, now_ms) for source, make_planner in collector.active_sources()
    ]
    return [
        point
        for planner in planners
        if planner is not None and planner.has_hours
        for point in read_counters(planner, store, consumer, end)
    ]


def _stored_project(collector: Collector, store: Store) -> str:
    """Return the project that was looked up with the access key; empty if it is not known."""
    if collector.instance.credentials.source == "sdk":  # some of its sources query the cloud
        return ""
    try:
        key = Schedulers(store, collector.clock).of(collector.provider()).key
    except QueryError:
        return ""
    with store.snapshot() as transaction:
        project_id = transaction.get(KeyEntry, key.name).projects.get(collector.instance.project_query_key, "")
    return project_id if is_project_id(project_id) else ""
