"""What luck decides now and then in cycles: real deadlines, pauses, threads; and a long span of models."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, Callable, List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Crew, Gates
from maas_usage_check.scheduling.threads import NAME
from maas_usage_check.scheduling.worker_pool import hanging
from maas_usage_check.state import Store

from ..agents.models import MINUTE
from ..collection.test_models_source import ModelAccount, account, shown  # noqa: F401
from ..conftest import Cloud, wait_for


def soon(seconds: float = 0.2) -> float:
    return Clock().monotonic() + seconds


def test_what_is_handed_in_late_is_no_result_of_any_work() -> None:
    release, handed_in = threading.Event(), threading.Event()
    crew = Crew(Clock())
    early = crew.do({"same": lambda: release.wait(30) and "late"}, give_up=soon(), progress=handed_in.set)

    def work() -> str:
        release.set()
        assert handed_in.wait(20)
        return "in time"

    assert crew.do({"same": work}, give_up=soon(20)) == {"same": "in time"}
    assert early == {}


def test_what_was_left_behind_and_failed_at_last_is_counted_no_more() -> None:
    release = threading.Event()
    caught: List[Exception] = []

    def fail() -> None:
        release.wait(30)
        try:
            raise KeyError("its traceback is kept, and with it each frame")
        except KeyError as error:
            caught.append(error)
            raise

    Crew(Clock()).do({"": fail}, give_up=soon())
    later = Clock().monotonic() + 61
    assert hanging(later) == 1
    release.set()
    wait_for(lambda: hanging(later) == 0, "it to end")
    assert caught


@pytest.mark.parametrize(
    ("workers", "crowded", "most"), [(1, [], 1), (2, [], 2), (5, [], 5), (5, [True] * 100, 1), (3, [True, True], 3)]
)
def test_as_much_work_at_once_as_told_but_for_a_crowd(workers: int, crowded: List[bool], most: int) -> None:
    """Of twenty pieces; a crowd has one worker, and once it is gone the others help."""
    now: List[None] = []
    at_once: List[int] = []
    full, crowd = threading.Event(), iter(crowded)

    def work() -> None:
        now.append(None)
        at_once.append(len(now))
        if len(now) >= workers:
            full.set()
        full.wait(0.02)
        now.pop()

    works = dict.fromkeys(range(20), work)
    assert len(Crew(Clock()).do(works, workers, is_crowded=lambda: next(crowd, False))) == 20
    assert max(at_once) == most


def test_workers_that_reach_for_the_last_place_at_once_lose_no_work() -> None:
    both, looks = threading.Barrier(2), itertools.count(1)

    def is_crowded() -> bool:
        if next(looks) in (2, 3):  # the first and the second worker, while there is a place for a third
            both.wait(20)
        return False

    works = {number: (lambda: time.sleep(0.05)) for number in range(10)}
    assert Crew(Clock()).do(works, workers=3, give_up=soon(20), is_crowded=is_crowded).keys() == works.keys()


INSTANCES = 60


def threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def test_many_instances_of_one_key_start_few_threads_that_would_only_wait_for_each_other(
    cloud: Cloud, make_collector: Callable[..., Collector]
) -> None:
    gates, before, seen = Gates(Store(), Clock()), threads(), [0]

    def count(request: Any) -> None:
        seen.append(threads())

    cloud.responder, cloud.emulator.requests_per_minute = count, 1000
    ranges = ["last_4h", "last_5h", "last_6h", "last_7h"]
    collectors: List[Collector] = [
        make_collector(cloud.entry(ranges=ranges, max_requests_per_minute=1000, tags=[f"n:{n}"]), gates=gates)
        for n in range(INSTANCES)
    ]
    assert [batch.result for batch in run_cycle(collectors)] == [Result.OK] * INSTANCES
    assert len(cloud.statistics()) == INSTANCES * len(ranges)
    # One for its cycle, one that asks, and some more of the first and the last, which are no crowd.
    assert max(seen) - before < 3 * INSTANCES


def test_a_model_that_is_silent_for_four_hours_of_cycles_loses_no_minute(account: ModelAccount) -> None:  # noqa: F811
    silent = range(account.now + 10 * MINUTE, account.now + 250 * MINUTE)
    account.use(
        SimulatedModels(3, 3, busy=lambda model, start: start not in silent or model != account.models.ids()[0])
    )
    began, known = account.edge - 15 * MINUTE, {}
    for _ in range(75):
        known.update(shown(account.cycle()))
        account.sleep(300)
    account.sleep(-300)
    assert known == account.minutes(began)
