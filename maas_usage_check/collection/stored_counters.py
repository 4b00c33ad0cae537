"""The account and the counters that the state has for an instance, without a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from ..config import is_project_id
from ..errors import QueryError
from ..metrics import Point
from ..scheduling import Schedulers
from ..scheduling.key_state import KeyEntry
from ..state import Store
from .collector import Collector

if TYPE_CHECKING:
    from ..ledger import Account


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
    now_ms = int(collector.clock.now() * 1000)
    project_id = instance.project_id or stored_account(collector, store).project_id
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


def stored_account(collector: Collector, store: Store) -> Account:
    """Return the project that is configured or was looked up with the access key, and the key's digest.

    Each is empty if it is not known. Raises UnusableError if the state cannot be used, or if there is none.
    """
    from ..ledger import Account

    instance, found = collector.instance, ""
    if instance.credentials.source == "sdk":  # some of its sources query the cloud
        return Account(instance.project_id or "")
    with store.snapshot():  # none is created
        pass
    try:
        key = Schedulers(store, collector.clock).of(collector.provider()).key
    except QueryError:
        return Account(instance.project_id or "")
    if not instance.project_id:
        with store.snapshot() as transaction:
            found = transaction.get(KeyEntry, key.name).projects.get(instance.project_query_key, "")
    return Account(instance.project_id or (found if is_project_id(found) else ""), key.name)
