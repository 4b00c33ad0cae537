"""Live queries beside background queries of the same planner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List, Sequence

from maas_usage_check.collection.background import BackgroundQueries
from maas_usage_check.ledger import QueryTask
from maas_usage_check.scheduling import Priority, Request

from ..conftest import FixedClock
from ..scheduling.account import Account


class MixedPlanner:
    """A planner with one live and one background query."""

    source = SimpleNamespace(name="cloud_eye", endpoint_key="cloud_eye_endpoint")

    def plan(self, *_: Any) -> Sequence[QueryTask]:
        return [
            QueryTask((priority,), priority.name, lambda answer: ()) for priority in (Priority.LIVE, Priority.RECENT)
        ]


def test_full_background_share(clock: FixedClock) -> None:
    """A background query that is over the rate does not drop a live one that waits for a place."""
    clock.at = float(int(clock.at))
    account, sent = Account(clock, rate=4), []
    for priority, pause_s in ((Priority.RANGE, 35), (Priority.BACKFILL, 1)):
        group = account.group()
        account.submit(group, "a", "b", priority=priority)
        sent += [account.send(), account.send()]
        account.queue.close(group, {})
        clock.at += pause_s
    assert sent == ["a", "b"] * 2
    group = account.group(30)

    def request(api: Any, query: Any, on_end: Any, priority: Any, is_dropped: Any) -> Request:
        return Request(group, priority, api.name, lambda: query, on_end, query, is_dropped=is_dropped)

    planner: Any = MixedPlanner()
    session: Any = SimpleNamespace(project_id="p", key_name="k", request=request, drops=lambda outcome: False)
    queries = BackgroundQueries(planner, session, 0)
    account.queue.submit(queries.plan(True))
    names: List[Any] = [account.send()]
    clock.at += 25
    names.append(account.send())
    assert names == [None, "LIVE"]
    assert queries.end({}, True, lambda: True).ends == [None]
