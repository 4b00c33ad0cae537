from __future__ import annotations

import threading
from typing import Any, Callable, List

from maas_usage_check.access import Gates
from maas_usage_check.clock import Clock
from maas_usage_check.cycle import Collector, run_cycle
from maas_usage_check.cycle.threads import NAME
from maas_usage_check.errors import Result
from maas_usage_check.store import Store

from ..conftest import Cloud

INSTANCES = 60


def threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def test_many_instances_of_one_key_start_few_threads_that_would_only_wait_for_each_other(
    cloud: Cloud, make_collector: Callable[..., Collector]
) -> None:
    gates, before, seen = Gates(Store(), Clock()), threads(), [0]

    def count(request: Any) -> None:
        seen.append(threads())

    cloud.always, cloud.emulator.requests_per_minute = count, 1000
    ranges = ["last_4h", "last_5h", "last_6h", "last_7h"]
    collectors: List[Collector] = [
        make_collector(cloud.entry(ranges=ranges, max_requests_per_minute=1000, tags=[f"n:{n}"]), gates=gates)
        for n in range(INSTANCES)
    ]
    assert [batch.result for batch in run_cycle(collectors)] == [Result.OK] * INSTANCES
    assert len(cloud.statistics()) == INSTANCES * len(ranges)
    # One for its cycle, one that asks, and some more of the first and the last, which are no crowd.
    assert max(seen) - before < 3 * INSTANCES
