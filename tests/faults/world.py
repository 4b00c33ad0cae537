"""A cloud and a machine whose clocks the test moves, without a network between them."""

from __future__ import annotations

import os
import signal
from typing import Any, Callable, Dict, List, Optional

from maas_usage_check.access import Gates, provider
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Request, Response
from maas_usage_check.config import load
from maas_usage_check.cycle import Collector
from maas_usage_check.history import Consumer
from maas_usage_check.standin.emulator import PROJECT_ID, Emulator
from maas_usage_check.store import Store, find_file
from maas_usage_check.surfaces import execd
from maas_usage_check.surfaces.output import Output
from maas_usage_check.surfaces.problem_log import ProblemLog

from ..conftest import AK, NOW, SK

Instead = Callable[[Request], Optional[Response]]


class World:
    """Hold the time, the cloud, and the credentials file. `off` is how far this machine's clock is ahead, seconds."""

    def __init__(self, folder: Any) -> None:
        self.seconds = 0.0
        self.off = 0.0
        self.emulator = Emulator({AK: SK}, now=lambda: NOW + self.seconds)
        self.clock = Clock(now=lambda: NOW + self.off + self.seconds, monotonic=lambda: self.seconds, sleep=self.sleep)
        self.key = folder / "key"
        self.folder = folder / "state"
        self.instead: Instead = lambda request: None
        self.put_key(SK)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def put_key(self, sk: str) -> None:
        self.key.write_text(f"{AK},{sk}")
        self.key.chmod(0o600)

    def transport(self, request: Request, timeout: float) -> Response:
        other = self.instead(request)
        if other is not None:
            return other
        target = request.url.split("example.com", 1)[1]
        answer = self.emulator.answer(request.method, target, request.headers, request.body)
        return Response(answer.status, answer.headers, answer.body)

    def entries(self, count: int, **keys: Any) -> List[Dict[str, Any]]:
        url = "https://maas.example.com"
        return [
            {
                "endpoint": url, "iam_endpoint": url, "project_id": PROJECT_ID, "tags": [f"n:{i}"],
                "credentials": {"source": "file", "path": str(self.key)}, **keys,
            }
            for i in range(count)
        ]  # fmt: skip

    def collectors(
        self, count: int = 1, store: Optional[Store] = None, consumer: Optional[Consumer] = None, **keys: Any
    ) -> List[Collector]:
        """Make them as the command line does, with one store; without one, in the file."""
        gates = Gates(store or Store(lambda: find_file(str(self.folder)), self.no_warning, self.clock.now), self.clock)
        instances = load({"instances": self.entries(count, **keys)}, self.clock.now())
        return [
            Collector(instance, provider(instance.credentials), self.transport, gates, self.clock, consumer=consumer)
            for instance in instances
        ]

    @staticmethod
    def no_warning(text: str) -> None:
        raise AssertionError(text)


class Agent:
    """Stand where Telegraf stands: after each batch let time pass and ask for the next."""

    def __init__(self, world: World, cycles: int, interval: float, after: Callable[[int, str], None]) -> None:
        self.world, self.left, self.interval, self.after = world, cycles, interval, after
        self.reader, self.writer = os.pipe()
        self.said: List[str] = []
        self.number = 0

    def write(self, data: bytes) -> None:
        text = data.decode()
        assert text.endswith("\n")
        self.after(self.number, text)
        self.number += 1
        self.world.seconds += self.interval
        if self.number == self.left:
            os.close(self.writer)
        else:
            os.write(self.writer, b"\n")


def run_execd(
    world: World,
    cycles: int,
    interval: float,
    after: Callable[[int, str], None],
    count: int = 1,
    **keys: Any,
) -> List[str]:
    """Run execd's own loop for so many cycles; return what it said."""
    agent = Agent(world, cycles, interval, after)
    troubles = ProblemLog(agent.said.append, world.clock.monotonic)
    before = signal.getsignal(signal.SIGTERM)
    os.write(agent.writer, b"\n")
    try:
        execd.run(world.collectors(count, Store(), **keys), troubles, agent.reader, Output(agent.write))
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(agent.reader)
    assert agent.number == cycles
    return agent.said
