"""No more requests per minute than configured, as the cloud counts them, and no query is deferred for ever."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import pytest

from maas_usage_check.cloud import Response
from maas_usage_check.collection import Batch, run_cycle
from maas_usage_check.collection.preflight import run_preflight
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result
from maas_usage_check.metrics import USAGE
from maas_usage_check.state import Store

from ..faults.simulation import Simulation

Collected = Set[Tuple[str, str]]
"""Instance and range of each usage point."""


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path)


def max_per_minute(simulation: Simulation) -> int:
    times = [at for at, _ in simulation.emulator.request_log]
    return max(i + 1 - bisect_left(times, at - 59.999) for i, at in enumerate(times))


def collected(batches: List[Batch]) -> Collected:
    return {
        (point.tags["n"], point.tags["range"])
        for batch in batches
        for point in batch.points
        if point.measurement == USAGE
    }


CONFIGURED = {(str(n), span) for n in range(10) for span in ("last_1d", "last_7d", "last_14d")}
KEYS: Dict[str, Any] = {"ranges": ["last_1d", "last_7d", "last_14d"], "max_requests_per_minute": 12, "deadline": 20}


@pytest.mark.parametrize("interval", [60, 300])
@pytest.mark.parametrize("one_process", [True, False])
def test_ten_instances(simulation: Simulation, one_process: bool, interval: int) -> None:
    """Of 30 queries at 12 a minute, each runs at least once in every 3 cycles, in one process or in many."""
    store = Store()
    collectors = simulation.collectors(10, store, **KEYS)
    cycles: List[Collected] = []
    for number in range(12):
        if not one_process:
            collectors = simulation.collectors(10, **KEYS)
        began = simulation.elapsed_s
        batches = run_cycle(collectors)
        points = collected(batches)
        if number:
            assert cycles[-1].isdisjoint(points), "deferred queries did not go first"
        cycles.append(points)
        for batch in batches:
            count = len(collected([batch]))
            result = {0: Result.OVER_RATE, 3: Result.OK}.get(count, Result.PARTIAL)
            assert batch.result == result
            if count < 3:
                problem = str(batch.problems[0])
                assert problem.startswith("W! " if count else "E! ")
                assert "max_requests_per_minute allows 12" in problem
        simulation.elapsed_s = began + interval
    assert max_per_minute(simulation) == 12
    for i in range(len(cycles) - 2):
        assert cycles[i] | cycles[i + 1] | cycles[i + 2] == CONFIGURED


def test_preflight(simulation: Simulation) -> None:
    """Warn of too low a rate, for all instances of the key, with project lookups and the command line's deadline."""
    warnings: List[str] = []
    for project, deadline in ((PROJECT_ID, None), (None, None), (PROJECT_ID, 130.0)):
        run_preflight(simulation.collectors(10, **KEYS, project_id=project), warnings.append, deadline)
    first, second = warnings
    assert "30 requests are planned per cycle, but max_requests_per_minute (12)" in first
    assert "18 will be deferred to the next cycle" in first
    assert "at most 40 requests are planned" in second


def test_retries_count(simulation: Simulation) -> None:
    """Failed tries count towards the rate."""
    simulation.intercept = lambda request: simulation.emulator.answer("GET", "/", {}, b"") and Response(503, {}, b"")
    sent, collectors = 0, simulation.collectors(10, Store(), **KEYS)
    for _ in range(5):
        began = simulation.elapsed_s
        sent += sum(int(batch.points[-1].fields["http_requests"]) for batch in run_cycle(collectors))
        simulation.elapsed_s = began + 60
    assert max_per_minute(simulation) <= 12
    assert sent == len(simulation.emulator.request_log)
