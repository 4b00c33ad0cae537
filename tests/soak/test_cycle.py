"""Races that show now and then: threads of cycles on the real clock; and a long span of models."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any, Callable, List

from maas_usage_check.clock import Clock
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Group, Priority, Request, Scheduler, Schedulers
from maas_usage_check.scheduling.key_state import KeyState
from maas_usage_check.state import Store
from maas_usage_check.watchdog import HUNG_S, NAME, hung_threads, run_with_deadline

from ..agents.expected_models import MINUTE
from ..collection.test_models_source import ModelAccount, account, shown  # noqa: F401
from ..conftest import Cloud, wait_for


def count_threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def test_work_that_ends_at_its_deadline() -> None:
    """It yields its own result or none, and no thread counts as hung once it has ended."""
    clock, results = Clock(), Counter()  # type: Clock, Counter[bool]
    for number in range(3000):

        def work(number: int = number) -> int:
            time.sleep(0.001)
            return number

        result = run_with_deadline(work, clock, random.uniform(0.0009, 0.0013))
        assert result in (None, number)
        results[result is None] += 1
    assert len(results) == 2, "the deadline and the end never met"
    wait_for(lambda: not hung_threads(clock.monotonic() + HUNG_S + 1), "the threads to end")


CONCURRENCY = 4


def test_cycles_that_come_and_go() -> None:
    """Of cycles in many threads over one key, each request and what follows from it ends once; all workers end."""
    clock, before = Clock(), count_threads()
    scheduler = Scheduler(KeyState("key", Store(), clock), clock)
    lock, in_flight, most = threading.Lock(), [0], [0]

    def send() -> None:
        with lock:
            in_flight[0] += 1
            most[0] = max(most[0], in_flight[0])
        time.sleep(random.uniform(0, 0.002))
        with lock:
            in_flight[0] -= 1

    def run(failures: List[str]) -> None:
        for _ in range(40):
            group, ended = Group(10**6, CONCURRENCY, clock.monotonic() + 300), Counter()  # type: Group, Counter[int]

            def request(number: int, group: Group = group, ended: Any = ended) -> Request:
                def on_end(outcome: Any) -> List[Request]:
                    ended[number] += 1
                    return [request(number + 100)] if number < 200 else []

                return Request(group, (Priority.RANGE, number), "statistics", send, on_end)

            scheduler.open(group)
            for part in range(0, 12, 4):
                scheduler.submit(map(request, range(part, part + 4)))
            scheduler.wait(group)
            scheduler.close(group, {})
            wanted = {number + follow: 1 for number in range(12) for follow in (0, 100, 200)}
            if ended != wanted:
                failures.append(str(ended))

    failures: List[str] = []
    cycles = [threading.Thread(target=run, args=(failures,)) for _ in range(6)]
    for thread in cycles:
        thread.start()
    for thread in cycles:
        thread.join()
    assert not failures
    assert most[0] == CONCURRENCY
    wait_for(lambda: count_threads() == before, "the workers to end")


INSTANCES = 60


def test_few_threads_for_many_instances(cloud: Cloud, make_collector: Callable[..., Collector]) -> None:
    """The instances of one key share its few workers."""
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
    # Each instance has one thread for its queries, then one for what it emits; they may overlap for a moment.
    assert max(seen) - before <= 2 * INSTANCES + CONCURRENCY


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
