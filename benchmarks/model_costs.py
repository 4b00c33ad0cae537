"""Measure the costs of models: requests to Cloud Eye, processor time and memory."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from hour_costs import URL, SimulatedCycles, measure_command
from runs import COMMAND, process

from maas_usage_check.cloud import Request, Response
from maas_usage_check.collection import run_cycle
from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import Traffic
from maas_usage_check.ledger.sweep import STORED_AS
from maas_usage_check.scheduling import Priority

FEW, MANY = (3, 8), (30, 20)
"""Models and keys: 270 and 6,300 metrics that are queried."""
TRAFFIC = Traffic(load=100_000)
"""Each key uses each model at any time of the day."""


class ModelCycles(SimulatedCycles):
    """Run cycles with models, and count the requests to Cloud Eye by kind."""

    def __init__(self, folder: str, models: int, keys: int, **options: Any) -> None:
        # With the default rate limit, so that queries are deferred.
        config = {"hourly": True, "models": True, "max_requests_per_minute": 100, **options}
        super().__init__(folder, SimulatedUsage(), cloud_eye_endpoint=URL, **config)
        self.emulator.models = SimulatedModels(models, keys, TRAFFIC, late=True)
        self.requests: Counter[str] = Counter()

    def send(self, request: Request, timeout: float) -> Response:
        """Count a request, and send it to the emulator."""
        if "/metrics" in request.url:
            self.requests["list"] += 1
        elif request.url.endswith("/batch-query-metric-data"):
            self.requests["minutes" if b'"period":"1"' in (request.body or b"") else "hours"] += 1
        return super().send(request, timeout)

    def run_cycles(self, count: int) -> List[Counter[str]]:
        """Run cycles of five minutes; return the requests of each."""
        requests = []
        for _ in range(count):
            self.seconds += 300
            before = Counter(self.requests)
            run_cycle([self.collector])[0]
            requests.append(self.requests - before)
        return requests


def requests_of_a_day(folder: str) -> List[Counter[str]]:
    """Return the requests of each cycle of a day with 270 metrics, two hours after the first."""
    cycles = ModelCycles(folder, *FEW)
    cycles.run_cycles(24)
    return cycles.run_cycles(288)


def requests_of_an_hour(folder: str) -> List[Counter[str]]:
    """Return the requests of each cycle of an hour with 6,300 metrics, half an hour after the first."""
    cycles = ModelCycles(folder, *MANY, backfill_days=1)
    cycles.run_cycles(6)
    return cycles.run_cycles(12)


def serve(urls: Any) -> None:
    """Serve an emulator with 6,300 metrics; in a process of its own, so that its processor time is not measured."""
    models = SimulatedModels(*MANY, TRAFFIC, late=True)
    with serve_emulator(Emulator(DEMO_CREDENTIALS, requests_per_minute=10**9, models=models)) as url:
        urls.put(url)
        time.sleep(3600)


def measure_collects(folder: str, environ: Dict[str, str]) -> Iterator[Tuple[float, int]]:
    """Yield processor seconds and memory of each `collect` of 6,300 metrics.

    The first emits all hours of 10 days, as in the hour after the backfill. The second is in the steady state. The
    third queries the last 26 hours again, as once an hour.
    """
    path, state = Path(folder) / "conf.yaml", Path(folder) / "state"
    command = [COMMAND, "collect", "--config", str(path)]
    with process(serve) as url:
        path.write_text(
            f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    cloud_eye_endpoint: {url}\n"
            f"    project_id: {PROJECT_ID}\n    hourly: true\n    models: true\n    backfill_days: 10\n"
            f"    ranges: [last_1d]\n    max_requests_per_minute: 86400\n    deadline: 300\n    timeout: 60\n"
            f"    state_dir: {state}\n"
        )
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
        yield measure_command(command, environ)
        (file,) = state.glob("*.sqlite3")
        for text in (
            "UPDATE hours SET changed = changed - 7200000",
            f"DELETE FROM entries WHERE kind = 'Round' AND name LIKE '% {STORED_AS[Priority.REPAIR]}'",
        ):
            with contextlib.closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(text)
            yield measure_command(command, environ)


def rows(
    make_folder: Callable[[], str], environ: Dict[str, str], row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Measure everything; return the rows of the table."""
    day, hour = requests_of_a_day(make_folder()), requests_of_an_hour(make_folder())
    few, many = (max(requests["minutes"] for requests in cycles) for cycles in (day, hour))
    day_in_all, hour_in_all = (sum(sum(requests.values()) for requests in cycles) for cycles in (day, hour))
    table = [
        row("270 metrics of models: requests for minutes per cycle", f"{few}", few, 2),
        row("the same: all requests to Cloud Eye in a day, per cycle", f"{day_in_all}", day_in_all / 288, 4),
        row("6,300 metrics of models: requests for minutes per cycle and 300 metrics", f"{many}", many * 300 / 6300, 2),
        row("the same: all requests in an hour / the rate limit", f"{hour_in_all} / 1200", hour_in_all / 1200, 1),
    ]
    cases = ("in the hour after the backfill of 10 days", "in the steady state", "once an hour, with 26 hours of each")
    for case, (seconds, memory) in zip(cases, measure_collects(make_folder(), environ)):
        mib = memory / 1024**2
        table.append(row(f"6,300 metrics: processor time of a `collect` {case}", f"{seconds:.2f} s", seconds / 2, 1))
        table.append(row("its memory", f"{mib:.0f} MiB", mib / 150, 1))
    return table
