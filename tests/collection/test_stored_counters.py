"""The counters of the state before a cycle, read without changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.collection.stored_counters import stored_counters
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger import COUNTERS, Consumer
from maas_usage_check.metrics import CONSUMED, Point
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import MissingError, Store

from ..conftest import AK, SK, Cloud, FixedClock
from .account import Make


class State:
    """One state, and the collector of one consumer."""

    def __init__(self, folder: Path, cloud: Cloud, clock: FixedClock, make_collector: Make) -> None:
        self.file = folder / "state.sqlite3"
        self.store = Store(lambda: str(self.file), now=clock.now)
        self._clock = clock
        entry = cloud.entry(hourly=True, backfill_days=0, max_requests_per_minute=1000)
        del entry["project_id"]
        self._make = lambda **more: make_collector(
            entry, schedulers=Schedulers(self.store, clock.clock), consumer=Consumer("serve", COUNTERS), **more
        )
        self.collector: Collector = self._make()

    def cycle(self) -> List[Point]:
        """Run a cycle 6 hours later; return the counters."""
        self._clock.sleep(6 * 3600)
        (batch,) = run_cycle([self.collector])
        return [point for point in batch.points if point.measurement == CONSUMED]

    def read(self, **more: object) -> List[Point]:
        before = self.dump()
        points = stored_counters(self._make(**more) if more else self.collector, self.store)
        assert self.dump() == before
        return points

    def dump(self) -> List[str]:
        with closing(sqlite3.connect(self.file)) as connection:
            return list(connection.iterdump())


@pytest.fixture
def state(tmp_path: Path, cloud: Cloud, clock: FixedClock, make_collector: Make) -> State:
    return State(tmp_path, cloud, clock, make_collector)


def test_same_as_the_last_cycle(state: State) -> None:
    state.cycle()
    last = state.cycle()
    assert state.read() == last
    assert last[0].fields["tokens"]


def test_no_state(state: State) -> None:
    """None is created."""
    with pytest.raises(MissingError):
        stored_counters(state.collector, state.store)
    assert not state.file.exists()


def test_other_key(state: State) -> None:
    """A key that is new to the state, or none at all, has the project of the consumer's last cycle."""

    def no_key() -> Credentials:
        raise QueryError(Result.NO_CREDENTIALS, "none")

    last = state.cycle()
    assert state.read(provider=no_key) == last
    assert state.read(credentials=Credentials(f"{AK}2", SK)) == last
