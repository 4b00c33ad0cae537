"""Connections that execd keeps between cycles, while the other side closes, resets or silently drops them."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport, Request
from maas_usage_check.config import load_instance
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.errors import Result

from ..conftest import AK, SK, FixedClock, Program, wait_for
from ..keep_alive_server import KeepAliveServer, ReceivedRequest, emulator_handler, http_response, reset
from .checks import run_cycle
from .conftest import Lengths

QUERIES = 3


class DroppingServer(KeepAliveServer):
    """Answer truly; between two cycles, drop or disturb every connection."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self.emulator = Emulator({AK: SK}, now=now, requests_per_minute=10**6)
        self.drop_next_cycle = False
        self.dropped = 0
        """Number of the last dropped connection: requests over it and those before it get no answer."""
        self.release = threading.Event()
        self._truth = emulator_handler(self.emulator)
        self.handler = self.answer

    def answer(self, request: ReceivedRequest) -> Optional[bytes]:
        if self.drop_next_cycle:  # a worker may open one more connection until the cycle's first request
            self.drop_next_cycle = False
            self.dropped = len(self.clients)
        if request.connection <= self.dropped:
            self.release.wait(30)
            return None
        return self._truth(request)

    def for_each_client(self, act: Callable[[Any], None]) -> None:
        for client in self.clients:
            if client.fileno() != -1:
                with contextlib.suppress(OSError):  # execd has closed it meanwhile
                    act(client)


@pytest.fixture
def server(clock: FixedClock) -> Iterator[DroppingServer]:
    server = DroppingServer(clock.now)
    yield server
    server.release.set()
    server.close()


@pytest.fixture
def daemon(server: DroppingServer, program: Program, tmp_path: Path) -> Iterator[Any]:
    url = server.url.rstrip("/")
    config = program.config(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    project_id: {PROJECT_ID}\n"
        f"    state_dir: {tmp_path / 'state'}\n    max_requests_per_minute: 86400\n"
        "    ranges: [last_1d, last_2d, last_7d]\n    timeout: 3\n    deadline: 60\n"
    )
    process = program.start("execd", "--config", config)
    yield process
    process.kill()
    process.communicate()


def run_healthy_cycle(process: Any) -> Any:
    *usage, api = run_cycle(process)
    assert api["fields"]["result_code"] == Result.OK
    assert len({point["fields"]["requests"] for point in usage}) == QUERIES
    return api["fields"]


BETWEEN = {
    "kept": lambda client: None,
    "closed": lambda client: client.shutdown(2),
    "half-closed": lambda client: client.shutdown(1),
    "reset": reset,
}


@pytest.mark.parametrize("how", BETWEEN)
def test_closed_between_cycles(server: DroppingServer, daemon: Any, how: str) -> None:
    """A connection that was closed between two cycles costs no request and no open file."""

    def files() -> int:
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    run_healthy_cycle(daemon)
    before = files()
    for _ in range(10):
        server.for_each_client(BETWEEN[how])
        assert run_healthy_cycle(daemon)["http_requests"] == QUERIES
    assert len(server.requests) == 11 * QUERIES
    assert how != "kept" or len(server.clients) <= 4
    # The pool keeps one to four connections.
    wait_for(lambda: files() <= before + 3, "the files to be closed")


def test_silently_dropped(server: DroppingServer, daemon: Any) -> None:
    """Connections that were dropped silently cost one time-out and are not reused."""
    run_healthy_cycle(daemon)
    server.drop_next_cycle = True
    assert run_healthy_cycle(daemon)["http_requests"] == QUERIES + 1
    assert sum(request.connection <= server.dropped for request in server.requests) == QUERIES + 1
    assert run_healthy_cycle(daemon)["http_requests"] == QUERIES


@pytest.mark.timeout(600)
def test_requests_leak_nothing(server: DroppingServer, lengths: Lengths) -> None:
    """Requests leak no connection and no object."""
    server.handler = lambda request: None if request.number == 7 else http_response(b"x")
    transport = DirectTransport(load_instance({}, {}, "instances[0]"))
    request = Request("GET", server.url, {"Host": "x"}, b"")
    samples = []
    part = lengths.requests // 5
    for i in range(lengths.requests):
        assert transport(request, 5).body == b"x"
        if i % part == part - 1:
            server.clients.clear()
            server.requests.clear()
            gc.collect()
            samples.append((len(os.listdir("/proc/self/fd")), len(gc.get_objects())))
    transport.close()
    files, objects = zip(*samples[1:])  # before the first sample, modules may still be loaded
    assert max(files) <= min(files) + 2, samples
    assert max(objects) <= min(objects) + 100, samples
