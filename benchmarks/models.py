"""Measure what the models cost: calls to Cloud Eye, processor time and memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from hours import URL, Account, used
from runs import COMMAND

from maas_usage_check.cloud import Request, Response
from maas_usage_check.emulator import usage_by_minute
from maas_usage_check.emulator.demo import DEMO_KEY
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.scheduling.priority_queue import HEALING

FEW, MANY = (3, 8), (30, 20)
"""Models and keys: 297 metrics, and 6,930."""


class Asking(Account):
    """Run cycles with models, and count the calls to Cloud Eye by what they ask."""

    def __init__(self, folder: str, models: int, keys: int, **more: Any) -> None:
        # The rate is the default, so that what has no room in it waits.
        keys_of_entry = {"hourly": True, "models": True, "max_requests_per_minute": 100, **more}
        super().__init__(folder, SimulatedUsage(), cloud_eye_endpoint=URL, **keys_of_entry)
        self.emulator.models = SimulatedModels(models, keys, late=True)
        self.asked: Counter[str] = Counter()

    def carry(self, request: Request, timeout: float) -> Response:
        """Hand a request to the emulator."""
        if "/metrics" in request.url:
            self.asked["list"] += 1
        elif request.url.endswith("/batch-query-metric-data"):
            self.asked["minutes" if b'"period":"1"' in (request.body or b"") else "hours"] += 1
        return super().carry(request, timeout)

    def cycles(self, count: int) -> List[Counter[str]]:
        """Run cycles of five minutes; return the calls of each."""
        calls = []
        for _ in range(count):
            self.seconds += 300
            before = Counter(self.asked)
            self.collector.cycle()
            calls.append(self.asked - before)
        return calls


def a_day(folder: str) -> List[Counter[str]]:
    """Return the calls of the cycles of a day with 297 metrics, two hours after the first."""
    account = Asking(folder, *FEW)
    account.cycles(24)
    return account.cycles(288)


def an_hour(folder: str) -> List[Counter[str]]:
    """Return the calls of the cycles of an hour with 6,930 metrics, half an hour after the first."""
    account = Asking(folder, *MANY, backfill_days=1)
    account.cycles(6)
    return account.cycles(12)


def serve(urls: Any) -> None:
    """Serve an emulator from a process of its own, so that its work is not counted."""
    usage_by_minute.NIGHT_REQUESTS_PER_HOUR = 5_000  # so that each key asks each model at any time of the day
    with serve_emulator(Emulator(DEMO_KEY, requests_per_minute=10**9, models=SimulatedModels(*MANY, late=True))) as url:
        urls.put(url)
        time.sleep(3600)


@contextlib.contextmanager
def cloud() -> Iterator[str]:
    """Yield the URL of an emulator with 6,930 metrics."""
    context = multiprocessing.get_context("spawn")
    urls = context.Queue()
    process = context.Process(target=serve, args=(urls,), daemon=True)
    process.start()
    try:
        yield urls.get(timeout=30)
    finally:
        process.terminate()
        process.join()


def collects(folder: str, environ: Dict[str, str]) -> Iterator[Tuple[float, int]]:
    """Yield processor seconds and memory of each `collect` of 6,930 metrics.

    One that gives all hours of 10 days out, as it does for an hour after the first ones; one of the steady state; and
    the one of each hour that asks 26 hours again.
    """
    path, state = Path(folder) / "conf.yaml", Path(folder) / "state"
    command = [COMMAND, "collect", "--config", str(path)]
    with cloud() as url:
        path.write_text(
            f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    cloud_eye_endpoint: {url}\n"
            f"    project_id: {PROJECT_ID}\n    hourly: true\n    models: true\n    backfill_days: 10\n"
            f"    ranges: [last_1d]\n    max_requests_per_minute: 86400\n    deadline: 300\n    timeout: 60\n"
            f"    state_dir: {state}\n"
        )
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
        yield used(command, environ)
        (file,) = state.glob("*.sqlite3")
        for text in (
            "UPDATE hours SET changed = changed - 7200000",
            f"DELETE FROM notes WHERE name LIKE '% {HEALING}'",
        ):
            with contextlib.closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(text)
            yield used(command, environ)


def rows(place: Callable[[], str], environ: Dict[str, str], row: Callable[[str, str, float, float], str]) -> List[str]:
    """Measure, and write rows of the table; `place` makes a folder."""
    day, hour = a_day(place()), an_hour(place())
    few, many = (max(calls["minutes"] for calls in cycles) for cycles in (day, hour))
    day_in_all, hour_in_all = (sum(sum(calls.values()) for calls in cycles) for cycles in (day, hour))
    table = [
        row("297 metrics of models: calls for minutes in a cycle", f"{few}", few, 2),
        row("the same: all calls to Cloud Eye in a day, for each cycle", f"{day_in_all}", day_in_all / 288, 4),
        row("6,930 metrics of models: calls for minutes in a cycle, for 300", f"{many}", many * 300 / 6930, 2),
        row("the same: all calls in an hour / what the rate lets go", f"{hour_in_all} / 1200", hour_in_all / 1200, 1),
    ]
    whats = ("in the hour after all of 10 days was asked", "in the steady state", "once an hour, with 26 hours of each")
    for what, (seconds, held) in zip(whats, collects(place(), environ)):
        mib = held / 1024**2
        table.append(row(f"6,930 metrics: processor time of a `collect` {what}", f"{seconds:.2f} s", seconds / 2, 1))
        table.append(row("it holds", f"{mib:.0f} MiB", mib / 150, 1))
    return table
