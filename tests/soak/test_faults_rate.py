"""No more requests a minute than configured, as the cloud counts them, and nobody left out for ever."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Dict, List, Set, Tuple

import pytest

from maas_usage_check.cycle import Batch, forewarn, run_cycle
from maas_usage_check.errors import Result
from maas_usage_check.metrics import USAGE
from maas_usage_check.store import Store

from ..faults.world import World

Served = Set[Tuple[str, str]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def most_in_a_minute(world: World) -> int:
    times = [at for at, _ in world.emulator.requests]
    return max(i + 1 - bisect_left(times, at - 59.999) for i, at in enumerate(times))


def served(batches: List[Batch]) -> Served:
    return {
        (point.tags["n"], point.tags["range"])
        for batch in batches
        for point in batch.points
        if point.measurement == USAGE
    }


ASKED = {(str(n), span) for n in range(10) for span in ("last_1d", "last_7d", "last_14d")}
KEYS = {"ranges": ["last_1d", "last_7d", "last_14d"], "max_requests_per_minute": 12, "deadline": 20}


@pytest.mark.parametrize("interval", [60, 300])
@pytest.mark.parametrize("one_process", [True, False])
def test_ten_instances_of_one_key_keep_to_the_limit_and_take_turns(
    world: World, one_process: bool, interval: int
) -> None:
    """30 questions, 12 a minute: each is answered at least once in every 3 cycles, in one process or in many."""
    store = Store()
    collectors = world.collectors(10, store, **KEYS)
    rounds: List[Served] = []
    for cycle in range(12):
        if not one_process:
            collectors = world.collectors(10, **KEYS)
        began = world.seconds
        batches = run_cycle(collectors)
        got = served(batches)
        if cycle:
            assert rounds[-1].isdisjoint(got), "what was left out did not go first"
        rounds.append(got)
        for batch in batches:
            answered = len(served([batch]))
            result = {0: Result.OVER_RATE, 3: Result.OK}.get(answered, Result.PARTIAL)
            assert batch.result == result
            if answered < 3:
                problem = str(batch.problems[0])
                assert problem.startswith("W! " if answered else "E! ")
                assert "max_requests_per_minute lets 12 go" in problem
        world.seconds = began + interval
    assert most_in_a_minute(world) == 12
    for i in range(len(rounds) - 2):
        assert rounds[i] | rounds[i + 1] | rounds[i + 2] == ASKED


def test_a_deadline_longer_than_a_minute_lets_the_rest_wait_its_turn_in_the_same_cycle(world: World) -> None:
    (collector,) = world.collectors(
        1, ranges=[f"last_{n}h" for n in range(1, 31)], max_requests_per_minute=12, deadline=200
    )
    assert collector.cycle().result == Result.OK
    assert most_in_a_minute(world) == 12


def test_what_will_not_fit_is_said_beforehand_with_the_numbers_of_all_instances_of_the_key(world: World) -> None:
    warnings: List[str] = []
    forewarn(world.collectors(10, **KEYS), warnings.append)
    (warning,) = warnings
    assert "30 calls are planned per cycle, but 12 a minute" in warning
    assert "18 will be left out" in warning


def test_the_lookup_of_the_project_and_a_deadline_of_the_command_line_are_counted_beforehand(world: World) -> None:
    few: List[str] = []
    keys = {"ranges": ["last_1h"], "max_requests_per_minute": 1}
    forewarn(world.collectors(1, **{**keys, "project_id": None}), few.append)
    assert "at most 2 calls are planned" in few[0]
    forewarn(world.collectors(1, **{**KEYS, "max_requests_per_minute": 2}), few.append)
    long: List[str] = []
    forewarn(world.collectors(1, **{**KEYS, "max_requests_per_minute": 2}), long.append, 130.0)
    assert (len(few), long) == (2, [])


def test_tries_that_failed_count_too(world: World) -> None:
    from maas_usage_check.cloud import Response

    world.instead = lambda request: world.emulator.answer("GET", "/", {}, b"") and Response(503, {}, b"")
    counts: Dict[int, int] = {}
    collectors = world.collectors(10, Store(), **KEYS)
    for cycle in range(5):
        began = world.seconds
        counts[cycle] = sum(int(batch.points[-1].fields["http_requests"]) for batch in run_cycle(collectors))
        world.seconds = began + 60
    assert most_in_a_minute(world) <= 12
    assert sum(counts.values()) == len(world.emulator.requests)
