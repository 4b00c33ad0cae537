"""A cloud and a machine whose clocks the test moves, without a network between them."""

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
from maas_usage_check.emulator.simulated_usage import API_KEYS, SimulatedUsage
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.scheduling import Gates
from maas_usage_check.state import Store, find_file

from ..conftest import AK, NOW, SK

CONSUMERS = (Consumer("telegraf", HOURS), Consumer("prometheus", COUNTERS), Consumer("agent", INCREMENTS))
URL = "https://maas.example.com"
Values = Tuple[int, ...]


def truth(emulator: Emulator, at: int, now: int) -> Values:
    """Say what the cloud says at a moment of an hour: total, prompt and completion tokens, requests, errors."""
    hour = emulator.usage.hour(2, "real_time", list(API_KEYS), at, now)
    tokens = hour.prompt_tokens + hour.completion_tokens + hour.other_tokens
    return (tokens, hour.prompt_tokens, hour.completion_tokens, hour.requests, hour.errors)


class World:
    """Hold the time, the cloud, and the credentials file. `off` is how far this machine's clock is ahead, seconds."""

    def __init__(
        self, folder: Path, ledger: Optional[SimulatedUsage] = None, models: Optional[SimulatedModels] = None
    ) -> None:
        self.seconds = 0.0
        self.off = 0.0
        self.emulator = Emulator({AK: SK}, ledger, now=lambda: NOW + self.seconds, models=models)
        self.clock = Clock(now=lambda: NOW + self.off + self.seconds, monotonic=lambda: self.seconds, sleep=self.sleep)
        self.key = folder / "key"
        self.folder = folder / "state"
        self.instead: Callable[[Request], Optional[Response]] = lambda request: None
        self.put_key(SK)

    @property
    def now(self) -> int:
        """Tell the cloud's time in milliseconds."""
        return int((NOW + self.seconds) * 1000)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def put_key(self, sk: str) -> None:
        self.key.write_text(f"{AK},{sk}")
        self.key.chmod(0o600)

    def transport(self, request: Request, timeout: float) -> Response:
        other = self.instead(request)
        if other is not None:
            return other
        answer = self.emulator.answer(request.method, request.url[len(URL) :], request.headers, request.body)
        return Response(answer.status, answer.headers, answer.body)

    def collectors(
        self, count: int = 1, store: Optional[Store] = None, consumer: Optional[Consumer] = None, **keys: Any
    ) -> List[Collector]:
        """Make them as the command line does, with one store; without one, in the file."""
        gates = Gates(store or Store(lambda: find_file(str(self.folder)), self.no_warning, self.clock.now), self.clock)
        entry = {
            **dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), URL),
            "project_id": PROJECT_ID,
            "credentials": {"source": "file", "path": str(self.key)},
            **keys,
        }
        entries = [{"tags": [f"n:{i}"], **entry} for i in range(count)]
        return [
            Collector(instance, provider(instance.credentials), self.transport, gates, self.clock, consumer=consumer)
            for instance in load({"instances": entries}, self.clock.now())
        ]

    @staticmethod
    def no_warning(text: str) -> None:
        raise AssertionError(text)


BAD: Sequence[Tuple[int, Any]] = (
    (503, {}),
    (429, {"error_code": "APIGW.0308", "error_msg": "throttling threshold"}),
    (403, {"error_msg": "policy doesn't allow"}),
    (400, {"error_msg": "no"}),
    (200, {"total_token": 7}),
    (200, []),
    (Result.NETWORK, None),
    (Result.TIMED_OUT, None),
)
"""Statuses with their bodies, and failures of the network."""


class Weather:
    """Strew faults: single ones by chance, and spells of hours in which a part of the cloud answers by nothing else.

    Args:
        hours: some of these begin a spell.
        lengths: how many hours they last, in turn.
        parts: what the URLs of the questions that meet them have in common, in turn.
    """

    def __init__(
        self, world: World, hours: range, lengths: Sequence[int], chance: float, parts: Sequence[str] = ("",)
    ) -> None:
        self.world, self.chance, self.random = world, chance, random.Random(1)
        self.spells: Dict[range, Tuple[str, Any]] = {}
        for i, start in enumerate(self.random.sample(hours, len(hours) * 3 // 5)):
            spell = range(start * 3600, (start + lengths[i % len(lengths)]) * 3600)
            self.spells[spell] = (parts[i % len(parts)], BAD[i % len(BAD)])

    def is_bad(self, url: str = URL) -> bool:
        return self._spell(url) is not None

    def _spell(self, url: str) -> Any:
        found = (bad for spell, (part, bad) in self.spells.items() if int(self.world.seconds) in spell and part in url)
        return next(found, None)

    def __call__(self, request: Request) -> Optional[Response]:
        once = self.random.choice(BAD) if self.random.random() < self.chance else None
        bad = self._spell(request.url) or once
        if bad is None:
            return None
        if isinstance(bad[0], Result):
            raise QueryError(bad[0], "the network is away")
        made = json_reply(*bad)
        return Response(made.status, made.headers, made.body)


def run_execd(
    world: World, cycles: int, interval: float, after: Callable[[int, str], None], count: int = 1, **keys: Any
) -> List[str]:
    """Run execd's own loop for so many cycles, from one to the next as Telegraf does; return what it said."""
    said: List[str] = []
    left = list(range(cycles))
    reader, writer = os.pipe()

    def write(data: bytes) -> None:
        assert data.endswith(b"\n")
        after(left.pop(0), data.decode())
        world.seconds += interval
        if left:
            os.write(writer, b"\n")
        else:
            os.close(writer)

    before = signal.getsignal(signal.SIGTERM)
    os.write(writer, b"\n")
    try:
        log = ProblemLog(said.append, world.clock.monotonic)
        execd.run(world.collectors(count, Store(), **keys), log, reader, StdoutWriter(write))
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(reader)
    assert not left
    return said
