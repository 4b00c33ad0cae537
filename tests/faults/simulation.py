"""A cloud and a machine whose clocks the test moves; no network, no processes."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Request, Response, provider
from maas_usage_check.collection import Collector
from maas_usage_check.commands import execd
from maas_usage_check.commands.problem_log import ProblemLog
from maas_usage_check.commands.stdout_writer import StdoutWriter
from maas_usage_check.config import load
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator, json_reply
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store, find_file

from ..conftest import AK, NOW, SK

CONSUMERS = (Consumer("telegraf", HOURS), Consumer("prometheus", COUNTERS), Consumer("agent", INCREMENTS))
URL = "https://maas.example.com"
Values = Tuple[int, ...]


def expected_hour(emulator: Emulator, at: int, now: int) -> Values:
    """Return what the cloud reports at `now` for the hour that begins at `at`, both in milliseconds.

    The values are total, prompt and completion tokens, requests and errors.
    """
    return emulator.usage.hour(2, "real_time", list(API_KEYS), at, now)[:5]


class Simulation:
    """The time, the cloud and the credentials file. `clock_error_s`: how far this machine's clock is ahead."""

    def __init__(
        self, folder: Path, ledger: Optional[SimulatedUsage] = None, models: Optional[SimulatedModels] = None
    ) -> None:
        self.elapsed_s = 0.0
        self.clock_error_s = 0.0
        self.emulator = Emulator({AK: SK}, ledger, now=lambda: NOW + self.elapsed_s, models=models)
        self.clock = Clock(
            now=lambda: NOW + self.clock_error_s + self.elapsed_s,
            monotonic=lambda: self.elapsed_s,
            wait=lambda condition, seconds: condition.wait(0.01) or self.sleep(seconds),
        )
        self.key_file = folder / "key"
        self.state_dir = folder / "state"
        self.intercept: Callable[[Request], Optional[Response]] = lambda request: None
        self.write_key(SK)

    @property
    def now(self) -> int:
        """The cloud's time, milliseconds."""
        return int((NOW + self.elapsed_s) * 1000)

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds

    def write_key(self, sk: str) -> None:
        self.key_file.write_text(f"{AK},{sk}")
        self.key_file.chmod(0o600)

    def transport(self, request: Request, timeout: float) -> Response:
        response = self.intercept(request)
        if response is not None:
            return response
        answer = self.emulator.answer(request.method, request.url[len(URL) :], request.headers, request.body)
        return Response(answer.status, answer.headers, answer.body)

    def collectors(
        self, count: int = 1, store: Optional[Store] = None, consumer: Optional[Consumer] = None, **keys: Any
    ) -> List[Collector]:
        """Make collectors as the command line does, over `store`; None: over the state file."""
        schedulers = Schedulers(
            store or Store(lambda: find_file(str(self.state_dir)), self.fail_on_warning, self.clock.now), self.clock
        )
        entry = {
            **dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), URL),
            "project_id": PROJECT_ID,
            "credentials": {"source": "file", "path": str(self.key_file)},
            **keys,
        }
        entries = [{"tags": [f"n:{i}"], **entry} for i in range(count)]
        instances = load({"instances": entries}, self.clock.now())
        credentials = provider(instances[0].credentials)
        return [
            Collector(instance, credentials, self.transport, schedulers, self.clock, consumer=consumer)
            for instance in instances
        ]

    @staticmethod
    def fail_on_warning(text: str) -> None:
        raise AssertionError(text)


FAILURES: Sequence[Tuple[int, Any]] = (
    (503, {}),
    (429, {"error_code": "APIGW.0308", "error_msg": "throttling threshold"}),
    (403, {"error_msg": "policy doesn't allow"}),
    (400, {"error_msg": "no"}),
    (200, {"total_token": 7}),
    (200, []),
    (Result.NETWORK, None),
    (Result.TIMED_OUT, None),
)
"""HTTP statuses with bodies, and network failures."""


class RandomFaults:
    """Inject failures: single ones at random, and outages of hours that affect a part of the cloud.

    Args:
        hours: start hours to choose from; 3 of 5 begin an outage.
        lengths: hours that outages last, in turn.
        chance: of a single failure, per request.
        parts: substrings of the URLs that an outage affects, in turn.
    """

    def __init__(
        self, simulation: Simulation, hours: range, lengths: Sequence[int], chance: float, parts: Sequence[str] = ("",)
    ) -> None:
        self.simulation, self.chance, self.random = simulation, chance, random.Random(1)
        self._outages: Dict[range, Tuple[str, Any]] = {}
        for i, start in enumerate(self.random.sample(hours, len(hours) * 3 // 5)):
            outage = range(start * 3600, (start + lengths[i % len(lengths)]) * 3600)
            self._outages[outage] = (parts[i % len(parts)], FAILURES[i % len(FAILURES)])

    def is_outage(self, url: str = URL) -> bool:
        return self._outage(url) is not None

    def _outage(self, url: str) -> Any:
        now_s = int(self.simulation.elapsed_s)
        found = (failure for outage, (part, failure) in self._outages.items() if now_s in outage and part in url)
        return next(found, None)

    def __call__(self, request: Request) -> Optional[Response]:
        once = self.random.choice(FAILURES) if self.random.random() < self.chance else None
        failure = self._outage(request.url) or once
        if failure is None:
            return None
        if isinstance(failure[0], Result):
            raise QueryError(failure[0], "network failure")
        answer = json_reply(*failure)
        return Response(answer.status, answer.headers, answer.body)


def run_execd(
    simulation: Simulation, cycles: int, interval: float, after: Callable[[int, str], None], count: int = 1, **keys: Any
) -> List[str]:
    """Run execd's loop, one cycle per newline on standard input as Telegraf writes them; return the log lines.

    `interval` is in seconds. `after` receives each cycle's number and output.
    """
    log_lines: List[str] = []
    pending = list(range(cycles))
    reader, writer = os.pipe()

    def write(data: bytes) -> None:
        assert data.endswith(b"\n")
        after(pending.pop(0), data.decode())
        simulation.elapsed_s += interval
        if pending:
            os.write(writer, b"\n")
        else:
            os.close(writer)

    before = signal.getsignal(signal.SIGTERM)
    os.write(writer, b"\n")
    try:
        log = ProblemLog(log_lines.append, simulation.clock.monotonic)
        execd.run(simulation.collectors(count, Store(), **keys), log, reader, StdoutWriter(write))
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(reader)
    assert not pending
    return log_lines
