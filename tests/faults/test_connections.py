"""Connections that a daemon keeps from cycle to cycle, while the other side closes, resets or forgets them."""

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
from ..keeping_server import Asked, KeepingServer, http, reset, truly
from .checks import ask
from .conftest import Lengths

QUERIES = 3


class Forgetting(KeepingServer):
    """Answer truly, and between two cycles do something to every connection."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self.emulator = Emulator({AK: SK}, now=now, requests_per_minute=10**6)
        self.forgets = False
        self.forgotten = 0
        """Up to which connection what comes is not heard."""
        self.release = threading.Event()
        self._truth = truly(self.emulator)
        self.behave = self.answer

    def answer(self, asked: Asked) -> Optional[bytes]:
        if self.forgets:  # a worker may open one more at any time until the first request of the cycle
            self.forgets = False
            self.forgotten = len(self.clients)
        if asked.connection <= self.forgotten:
            self.release.wait(30)
            return None
        return self._truth(asked)

    def each(self, act: Callable[[Any], None]) -> None:
        for client in self.clients:
            if client.fileno() != -1:
                with contextlib.suppress(OSError):  # the daemon has closed it meanwhile
                    act(client)


@pytest.fixture
def server(clock: FixedClock) -> Iterator[Forgetting]:
    server = Forgetting(clock.now)
    yield server
    server.release.set()
    server.close()


@pytest.fixture
def daemon(server: Forgetting, program: Program, tmp_path: Path) -> Iterator[Any]:
    url = server.url.rstrip("/")
    config = program.config(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    project_id: {PROJECT_ID}\n"
        f"    state_dir: {tmp_path / 'kept'}\n    max_requests_per_minute: 86400\n"
        "    ranges: [last_1d, last_2d, last_7d]\n    timeout: 3\n    deadline: 60\n"
    )
    process = program.start("execd", "--config", config)
    yield process
    process.kill()
    process.communicate()


def healthy(process: Any) -> Any:
    *usage, api = ask(process)
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
def test_what_was_closed_between_two_cycles_costs_no_request_and_no_file(
    server: Forgetting, daemon: Any, how: str
) -> None:
    def files() -> int:
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    healthy(daemon)
    before = files()
    for _ in range(10):
        server.each(BETWEEN[how])
        assert healthy(daemon)["http_requests"] == QUERIES
    assert len(server.asked) == 11 * QUERIES
    assert how != "kept" or len(server.clients) <= 4
    # At most four connections are kept, and there was one at least.
    wait_for(lambda: files() <= before + 3, "the files to be closed")


def test_connections_that_are_forgotten_without_a_word_cost_one_time_out_and_are_not_used_again(
    server: Forgetting, daemon: Any
) -> None:
    healthy(daemon)
    server.forgets = True
    assert healthy(daemon)["http_requests"] == QUERIES + 1
    assert sum(asked.connection <= server.forgotten for asked in server.asked) == QUERIES + 1
    assert healthy(daemon)["http_requests"] == QUERIES


@pytest.mark.timeout(600)
def test_requests_leave_no_connection_and_no_object(server: Forgetting, lengths: Lengths) -> None:
    server.behave = lambda asked: None if asked.number == 7 else http(b"x")
    transport = DirectTransport(load_instance({}, {}, "instances[0]"))
    request = Request("GET", server.url, {"Host": "x"}, b"")
    levels = []
    part = lengths.times // 5
    for i in range(lengths.times):
        assert transport(request, 5).body == b"x"
        if i % part == part - 1:
            server.clients.clear()
            server.asked.clear()
            gc.collect()
            levels.append((len(os.listdir("/proc/self/fd")), len(gc.get_objects())))
    transport.close()
    files, objects = zip(*levels[1:])  # by the first look what is loaded once may still come
    assert max(files) <= min(files) + 2, levels
    assert max(objects) <= min(objects) + 100, levels
