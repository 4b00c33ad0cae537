"""Races that show now and then: real deadlines, pauses and threads in cycles; and a long span of models."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, Callable, List

import pytest
from maas_usage_check.scheduling.threads import NAME
from maas_usage_check.scheduling.worker_pool import hanging

from maas_usage_check.clock import Clock
from maas_usage_check.collection import Collector
from maas_usage_check.commands.runner import run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Crew, Schedulers
from maas_usage_check.state import Store

from ..agents.expected_models import MINUTE
from ..collection.test_models_source import ModelAccount, account, shown  # noqa: F401
from ..conftest import Cloud, wait_for


def deadline_in(seconds: float = 0.2) -> float:
    return Clock().monotonic() + seconds


def test_late_result() -> None:
    """A result that comes after the deadline is no result of this or a later call."""
    release, finished = threading.Event(), threading.Event()
    crew = Crew(Clock())
    early = crew.do({"same": lambda: release.wait(30) and "late"}, give_up=deadline_in(), progress=finished.set)

    def work() -> str:
        release.set()
        assert finished.wait(20)
        return "in time"

    assert crew.do({"same": work}, give_up=deadline_in(20)) == {"same": "in time"}
    assert early == {}


def test_hanging_worker_that_fails() -> None:
    """A worker that outlived its deadline and then failed is not counted as hanging."""
    release = threading.Event()
    caught: List[Exception] = []

    def fail() -> None:
        release.wait(30)
        try:
            raise KeyError("its traceback keeps each frame alive")
        except KeyError as error:
            caught.append(error)
            raise

    Crew(Clock()).do({"": fail}, give_up=deadline_in())
    later = Clock().monotonic() + 61
    assert hanging(later) == 1
    release.set()
    wait_for(lambda: hanging(later) == 0, "the worker to end")
    assert caught


@pytest.mark.parametrize(
    ("workers", "crowded", "most"), [(1, [], 1), (2, [], 2), (5, [], 5), (5, [True] * 100, 1), (3, [True, True], 3)]
)
def test_concurrency(workers: int, crowded: List[bool], most: int) -> None:
    """Of 20 tasks, `workers` run at once; while it is crowded, one."""
    running: List[None] = []
    concurrency: List[int] = []
    full, crowd = threading.Event(), iter(crowded)

    def work() -> None:
        running.append(None)
        concurrency.append(len(running))
        if len(running) >= workers:
            full.set()
        full.wait(0.02)
        running.pop()

    works = dict.fromkeys(range(20), work)
    assert len(Crew(Clock()).do(works, workers, is_crowded=lambda: next(crowd, False))) == 20
    assert max(concurrency) == most


def test_race_for_the_last_slot() -> None:
    """No task is lost when two workers start a third at the same time."""
    both, calls = threading.Barrier(2), itertools.count(1)

    def is_crowded() -> bool:
        if next(calls) in (2, 3):  # the first and the second worker, while a third may start
            both.wait(20)
        return False

    works = {number: (lambda: time.sleep(0.05)) for number in range(10)}
    assert Crew(Clock()).do(works, workers=3, give_up=deadline_in(20), is_crowded=is_crowded).keys() == works.keys()


INSTANCES = 60


def count_threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def test_few_threads_for_many_instances(cloud: Cloud, make_collector: Callable[..., Collector]) -> None:
    """Many instances of one key start few threads: most would only wait for each other."""
    schedulers, before, seen = Schedulers(Store(), Clock()), count_threads(), [0]

    def count(request: Any) -> None:
        seen.append(count_threads())

    cloud.responder, cloud.emulator.requests_per_minute = count, 1000
    ranges = ["last_4h", "last_5h", "last_6h", "last_7h"]
    collectors: List[Collector] = [
        make_collector(cloud.entry(ranges=ranges, max_requests_per_minute=1000, tags=[f"n:{n}"]), schedulers=schedulers)
        for n in range(INSTANCES)
    ]
    assert [batch.result for batch in run_cycle(collectors)] == [Result.OK] * INSTANCES
    assert len(cloud.statistics()) == INSTANCES * len(ranges)
    # Per instance one for the cycle and one for queries, and some more for the first and the last instances.
    assert max(seen) - before < 3 * INSTANCES


def test_silent_model(account: ModelAccount) -> None:  # noqa: F811
    """A model without calls for four hours loses no minute."""
    silent = range(account.now + 10 * MINUTE, account.now + 250 * MINUTE)
    account.use(
        SimulatedModels(3, 3, busy=lambda model, start: start not in silent or model != account.models.ids()[0])
    )
    start, known = account.edge - 15 * MINUTE, {}
    for _ in range(75):
        known.update(shown(account.cycle()))
        account.sleep(300)
    account.sleep(-300)
    assert known == account.minutes(start)
