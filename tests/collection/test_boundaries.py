"""Each limit of a cycle: one below, at, and one above."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import pytest

from maas_usage_check.cloud import Request, Response
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.collection.preflight import over_rate, slow_hours
from maas_usage_check.config import Instance, load_instance
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger.build import first_failure

from ..conftest import NOW, Cloud


def make_instance(**keys: Any) -> Instance:
    return load_instance(keys, {}, "x", NOW)


@pytest.mark.parametrize(
    ("deadline", "room"), [(1.0, 10), (60.0, 10), (60.9, 10), (61.0, 20), (121.0, 20), (122.0, 30), (183.0, 40)]
)
def test_planned_minutes(deadline: float, room: int) -> None:
    """A deadline gives a plan the rate of one minute, and of one more for each 61 s."""
    instance = make_instance(max_requests_per_minute=10, project_id="a" * 32)
    assert over_rate([instance], room, deadline) is None
    text = f"allows {room} within the deadline of {deadline:g} s: 1 will be deferred"
    assert text in str(over_rate([instance], room + 1, deadline))


@pytest.mark.parametrize(("limit", "room"), [(1, 1), (2, 2), (10, 10)])
def test_room_beside_hours(limit: int, room: int) -> None:
    """Ranges may use all of the rate, also beside hours."""
    instance = make_instance(max_requests_per_minute=limit, project_id="a" * 32, hourly=True)
    assert over_rate([instance], room) is None
    assert over_rate([instance], room + 1) is not None


@pytest.mark.parametrize(
    ("limit", "queries", "interval", "labels", "words"),
    [
        (10, 9, 900, 0, None),
        (10, 9, 901, 0, "take 4 requests an hour, but max_requests_per_minute (10) leaves 3 "),
        (10, 8, 1800, 0, None),
        (10, 10, 900, 0, "leaves 0 beside the ranges"),
        (8, 4, 3600, 0, None),
        (8, 5, 3600, 0, "leaves 3 "),
        (9, 4, 3600, 0, None),
        (7, 0, 3600, 0, "leaves 3 "),
        (1, 0, 1, 14, None),
        (1, 0, 1, 15, "the hours of 16 series take 64 requests an hour, but max_requests_per_minute (1) leaves 60 "),
        (1, 0, 3600, 0, "its 696 hours of the past may take 35 days"),
    ],
)
def test_slow_hours(limit: int, queries: int, interval: int, labels: int, words: Optional[str]) -> None:
    """A series takes 4 requests an hour, of the background share and of what the ranges leave."""
    of_keys = {"per_api_key": True, "api_keys": [str(n) for n in range(labels)]} if labels else {}
    instance = make_instance(max_requests_per_minute=limit, min_collection_interval=interval, hourly=True, **of_keys)
    text = slow_hours([instance], queries)
    assert (text is None) == (words is None)
    assert (words or "") in (text or "")


def test_instances_of_one_key() -> None:
    """The smallest rate counts, the longest interval and the longest deadline."""
    both = [
        make_instance(max_requests_per_minute=10, min_collection_interval=60, deadline=61, hourly=True, tags=["a:1"]),
        make_instance(max_requests_per_minute=20, min_collection_interval=3600, deadline=25, hourly=True, tags=["a:2"]),
    ]
    assert "max_requests_per_minute (10) leaves 2 beside the ranges in cycles 3600 s" in str(slow_hours(both, 9))
    assert "allows 20 within the deadline of 61 s" in str(over_rate(both, 30))


def test_cycle_after_a_stop(cloud: Cloud, make_collector: Callable[..., Collector]) -> None:
    """Nothing is sent in a cycle that begins after the stop."""
    collector = make_collector(cloud.entry())
    collector.cancel()
    batch = run_cycle([collector])[0]
    assert cloud.requests == []
    assert "the cycle was ended by a signal" in str(batch.problems[0])


def test_no_retry_after_a_stop(cloud: Cloud, make_collector: Callable[..., Collector]) -> None:
    """A request that fails after the stop is not retried."""
    sent: List[str] = []

    def fail(request: Request, timeout: float) -> Response:
        sent.append(request.url)
        collector.cancel()
        raise QueryError(Result.NETWORK, "x")

    collector = make_collector(cloud.entry(), transport=fail)
    run_cycle([collector])[0]
    assert len(sent) == 1


@pytest.mark.parametrize(("count", "text"), [(1, "x (lost)"), (2, "x (lost, and 1 more)"), (3, "x (lost, and 2 more)")])
def test_failures_in_one_line(count: int, text: str) -> None:
    assert first_failure([QueryError(Result.NETWORK, "x")] * count, "lost") == text
