"""Measure the costs of hours: requests, processor time, memory, and the size of the state."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from runs import COMMAND

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials, Request, Response, Statistics
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.config import Instance, load
from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger import HOURS, Consumer
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import FIELDS
from maas_usage_check.ledger.schema import write_transaction
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_795_435_200
"""2026-11-23 12:00:00 UTC."""
URL = "https://maas.example.com"
MANY: Dict[str, Any] = {
    "service_types": ["my_service", "preset", "custom_endpoint"],
    "infer_types": ["real_time", "batch"],
    "api_keys": [f"team-{n}" for n in range(9)],
    "per_api_key": True,
}
"""60 series."""


class SimulatedCycles:
    """Run cycles of one instance against an emulator, without a network and with a simulated clock."""

    def __init__(self, folder: str, usage: SimulatedUsage, **options: Any) -> None:
        self.seconds = 0.0
        self.emulator = Emulator(DEMO_CREDENTIALS, usage, lambda: NOW + self.seconds, requests_per_minute=10**9)
        self.clock = Clock(
            now=self.emulator.now,
            monotonic=lambda: self.seconds,
            wait=lambda condition, seconds: condition.wait(0.01) or self.sleep(seconds),
        )
        self.store = Store(lambda: os.path.join(folder, "state.sqlite"))
        entry = {"endpoint": URL, "iam_endpoint": URL, "project_id": PROJECT_ID, "ranges": ["last_1d"], **options}
        self.instance: Instance = load({"instances": [{"max_requests_per_minute": 86_400, **entry}]}, NOW)[0]
        ((ak, sk),) = DEMO_CREDENTIALS.items()
        self.collector = Collector(
            self.instance,
            lambda: Credentials(ak, sk),
            self.send,
            Schedulers(self.store, self.clock),
            self.clock,
            consumer=Consumer("benchmark", HOURS),
        )

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.seconds += seconds

    def send(self, request: Request, timeout: float) -> Response:
        """Send a request to the emulator."""
        answer = self.emulator.answer(request.method, request.url[len(URL) :], request.headers, request.body)
        return Response(answer.status, answer.headers, answer.body)

    def count_requests(self) -> int:
        """Run a cycle; return the number of its requests other than those for ranges."""
        batch = run_cycle([self.collector])[0]
        return int(batch.points[-1].fields["http_requests"]) - len(self.collector.plan().queries)


def backfill(folder: str, busy: Callable[[int], bool]) -> float:
    """Return the requests of a backfill of 29 days per hour of use."""
    cycles = SimulatedCycles(folder, SimulatedUsage(busy=busy), hourly=True)
    requests = cycles.count_requests()
    begin = (NOW * 1000 - 29 * DAY) // HOUR * HOUR
    return requests / sum(map(busy, range(begin, NOW * 1000 - 2 * HOUR, HOUR)))


def weekdays(at: int) -> bool:
    """Return True if an hour is on a weekday, from 9 to 18 in UTC+8."""
    day, hour = divmod(at // HOUR + 8, 24)
    return (day + 3) % 7 < 5 and 9 <= hour < 18


def steady(folder: str) -> float:
    """Return the requests per cycle of 5 minutes for one series, over two days with late data, less one an hour."""
    cycles = SimulatedCycles(folder, SimulatedUsage(late=True), hourly=True)
    cycles.count_requests()
    requests, count = 0, 2 * 288
    for _ in range(count):
        cycles.seconds += 300
        requests += cycles.count_requests()
    daily_checks = 2 * 26  # a day twice and its hours, once a day
    return (requests - daily_checks - count / 12) / count


def restated(folder: str) -> int:
    """Return the most requests to find a restated hour, of several in different places."""
    usage, most = SimulatedUsage(), 0
    cycles = SimulatedCycles(folder, usage, hourly=True)
    cycles.count_requests()
    for days in (1, 7, 13, 14, 15, 28):
        cycles.seconds += 3600
        without = cycles.count_requests()
        usage.restate((NOW * 1000 - days * DAY) // HOUR * HOUR, 0.5, int(cycles.clock.now() * 1000))
        cycles.seconds += 3600
        most = max(most, cycles.count_requests() - without)
    return most


def fill(cycles: SimulatedCycles, days: int) -> None:
    """Store the hours of so many days, with use in each, as a backfill would."""
    until = NOW * 1000 // HOUR * HOUR
    with write_transaction(cycles.store, NOW * 1000) as transaction:
        for series in Statistics().hour_series(cycles.instance, PROJECT_ID):
            hour_store = HourStore(transaction, series.name, series.settled_after_ms)
            for n, at in enumerate(range(until - days * DAY, until, HOUR)):
                hour_store.put(at, at + HOUR, (20_000_000 + n, 19_000_000 + n, 900_000 + n, 1_000 + n, n))


def processor(folder: str) -> Tuple[float, int]:
    """Return the extra processor seconds of a cycle of 60 series over as many requests, and the size of the state."""
    cycles = SimulatedCycles(folder, SimulatedUsage(busy=lambda at: True), hourly=True, **MANY)
    fill(cycles, 29)
    ranges = [f"last_{n}d" for n in range(1, 5)]
    plain = SimulatedCycles(os.path.join(folder, "plain"), SimulatedUsage(), ranges=ranges, **MANY)
    os.makedirs(os.path.join(folder, "plain"))
    pairs = [(processor_seconds(cycles), processor_seconds(plain)) for _ in range(8)]
    size = sum(path.stat().st_size for path in Path(folder).glob("state.sqlite*"))
    return statistics.median(mine - theirs for mine, theirs in pairs[2:]), size


def processor_seconds(cycles: SimulatedCycles) -> float:
    """Run a cycle and return its processor seconds."""
    cycles.seconds += 300
    began = time.process_time()
    run_cycle([cycles.collector])[0]
    return time.process_time() - began


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def measure_command(command: List[str], environ: Dict[str, str]) -> Tuple[float, int]:
    """Run a command; return its processor seconds and its peak memory in bytes."""
    # From a small process: the memory of a parent at the fork counts as its child's.
    small = [sys.executable, "-I", "-S", "-c", MEASURE, *command]
    seconds, kib = subprocess.run(small, env=environ, check=True, capture_output=True).stdout.split()
    return float(seconds), int(kib) * 1024


def collect_memory(folder: str, url: str, environ: Dict[str, str]) -> Iterator[int]:
    """Yield the memory of a first `collect` of 60 series, which emits all hours, and of one two hours later."""
    cycles = SimulatedCycles(folder, SimulatedUsage(), hourly=True, **MANY)
    cycles.seconds = time.time() - NOW
    names = "\n".join(f"    {key}: {value}" for key, value in MANY.items())
    path = Path(folder) / "conf.yaml"
    path.write_text(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    project_id: {PROJECT_ID}\n"
        f"    hourly: true\n    ranges: [last_1d]\n    max_requests_per_minute: 86400\n    deadline: 300\n{names}\n"
        f"    state_dir: {folder}/state\n"
    )
    command = [COMMAND, "collect", "--config", str(path)]
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    (state,) = Path(folder, "state").glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(state)) as connection, connection:
        numbers = ", ".join(f"{name} = {10 ** (8 - i)} + start / 3600000" for i, name in enumerate(FIELDS))
        connection.execute(f"UPDATE hours SET {numbers}")
    yield measure_command([*command, "--format", "json"], environ)[1]
    with contextlib.closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("UPDATE hours SET changed = changed - 7200000")
    yield measure_command([*command, "--format", "json"], environ)[1]
