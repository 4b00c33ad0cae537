"""Cycles with many threads, and over a long span of models."""

from __future__ import annotations

import threading
from typing import Any, Callable, List

from maas_usage_check.clock import Clock
from maas_usage_check.collection import Collector
from maas_usage_check.commands.runner import run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store
from maas_usage_check.watchdog import NAME

from ..agents.expected_models import MINUTE
from ..collection.test_models_source import ModelAccount, account, shown  # noqa: F401
from ..conftest import Cloud

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
