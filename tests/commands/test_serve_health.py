"""The health of `serve` while a cycle runs."""

from __future__ import annotations

import contextlib
import signal
from typing import Any, Iterator, List, Tuple

import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.collection import Collector
from maas_usage_check.commands.serve.collection_loop import GRACE, CollectionLoop
from maas_usage_check.commands.serve.snapshot import Snapshot
from maas_usage_check.scheduling import WINDOW_S

from ..collection.account import Make
from ..conftest import AK, SK, Cloud, FixedClock


@pytest.fixture
def signals() -> Iterator[None]:
    """Restore the handlers that a loop replaces."""
    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers: List[Tuple[Any, Any]] = [(name, signal.getsignal(name)) for name in names]
    yield
    for name, handler in handlers:
        signal.signal(name, handler)


@pytest.mark.parametrize(("late_s", "is_healthy"), [(-0.001, True), (0.001, False)])
def test_longest_cycle(
    cloud: Cloud, clock: FixedClock, make_collector: Make, signals: None, late_s: float, is_healthy: bool
) -> None:
    """A cycle that waits for the rate beyond its deadline is not overdue."""
    snapshot, seen = Snapshot(clock.clock), []

    def provide() -> Credentials:
        clock.at += 25 + WINDOW_S + GRACE + late_s
        seen.append(snapshot.is_healthy)
        signal.raise_signal(signal.SIGTERM)
        return Credentials(AK, SK)

    collector = make_collector(cloud.entry(deadline=25), provider=provide)
    collector.rate_extension_s = WINDOW_S

    @contextlib.contextmanager
    def load() -> Iterator[List[Collector]]:
        yield [collector]

    CollectionLoop(load, lambda: None, snapshot, print, clock.clock).run()
    assert seen == [is_healthy]
