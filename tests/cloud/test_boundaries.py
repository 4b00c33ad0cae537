"""Each limit of the client: one below it, at it, one above."""

from __future__ import annotations

from typing import Callable, List

import pytest

from maas_usage_check.access import Credentials, Gates
from maas_usage_check.cloud import Request, Response, Session, Statistics
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError
from maas_usage_check.store import Store

from ..conftest import AK, NOW, SK
from ..fixed_clock import FixedClock


class Recorder:
    """A transport that records how long it may take, and fails so that nothing is proven."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.timeouts: List[float] = []
        self.prepared: List[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, request: Request, timeout: float) -> Response:
        self.timeouts.append(timeout)
        self.meanwhile()
        return Response(404, {}, b"")

    def prepare(self, url: str, timeout: float) -> None:
        self.prepared.append(timeout)
        self.clock.sleep(100)


@pytest.mark.parametrize(("left", "timeout"), [(10.1, 10), (10, 10), (9.9, 9.9), (0.01, 0.01)])
def test_timeout_within_the_cycle(clock: FixedClock, left: float, timeout: float) -> None:
    """Neither a request nor a connection ahead of one may take longer than what is left of the cycle."""
    instance = load_instance({"project_id": "a" * 32, "timeout": 10}, {}, "x", NOW)
    transport = Recorder(clock)
    give_up = clock.clock.monotonic() + 25
    session = Session(
        instance, lambda: Credentials(AK, SK), transport, Gates(Store(), clock.clock), clock.clock, give_up, {}
    )
    query = Statistics().plan(instance, int(clock.now() * 1000)).queries[0]

    def ask() -> None:
        with pytest.raises(QueryError):
            session.ask(Statistics(), query)

    transport.meanwhile = ask
    session.connect()
    clock.at += 25 - left
    ask()
    assert transport.timeouts == transport.prepared == pytest.approx([timeout])
