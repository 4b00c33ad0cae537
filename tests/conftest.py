"""The cloud of these tests: the emulator behind a real HTTP server on loopback."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional
from weakref import WeakKeyDictionary

import pytest
from hypothesis import HealthCheck, settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler
from werkzeug.test import EnvironBuilder

from maas_usage_check import cloud as client
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials, Provider
from maas_usage_check.collection import Collector
from maas_usage_check.config import load_instance
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.ledger import Consumer
from maas_usage_check.scheduling import Gates, worker_pool
from maas_usage_check.state import Store

from .fixed_clock import FixedClock
from .program import AK, SK, EmulatorTransport, Program

__all__ = ["AK", "NOW", "SK", "Cloud", "FixedClock", "Program", "wait_for"]

# Deadlines and health checks measure this machine, not the code. `make soak` has its own, longer profile.
MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("tests", MACHINE, max_examples=50, derandomize=True, database=None)
settings.register_profile("soak", MACHINE, max_examples=1000)
settings.load_profile("tests")

NOW = 1_795_435_200.0
"""2026-11-23 12:00:00 UTC."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start every test without the developer's keys, proxies and state, and without another test's count of threads."""
    for name in list(os.environ):
        if name.startswith(("HW_", "HUAWEICLOUD_", "HC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(worker_pool, "_left", WeakKeyDictionary())  # each test has a clock of its own
    # Where no byte code is kept, each of a thousand processes would compile the plugin anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture(scope="session")
def make_httpserver() -> Iterator[HTTPServer]:
    """Serve with threads: one query that hangs must not hold the others up."""
    with HTTPServer(threaded=True) as server:
        yield server


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Come back as soon as a condition holds; fail when it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.005)


class Cloud:
    """An emulator, the URL it is served at, and what to do instead of answering truly."""

    def __init__(self, server: HTTPServer, emulator: Emulator) -> None:
        self.emulator = emulator
        self.url = server.url_for("").rstrip("/")
        self.instead: List[Optional[Callable[[Request], Response]]] = []
        self.always: Optional[Callable[[Request], Optional[Response]]] = None
        self.seen: List[Request] = []
        self.answered: List[bytes] = []
        server.expect_request(re.compile(".*")).respond_with_handler(self._handle)

    def transport(self, request: client.Request, timeout: float) -> client.Response:
        """Answer a signed request without a network; see Transport."""
        target = request.url[len(self.url) :]
        made = EnvironBuilder(target, self.url, method=request.method, headers=request.headers, data=request.body)
        answer = self._handle(made.get_request())
        return client.Response(answer.status_code, answer.headers, answer.get_data())

    def _handle(self, request: Request) -> Response:
        self.seen.append(request)
        body = request.get_data()
        other = self.instead.pop(0) if self.instead else self.always
        if other:
            response = other(request)
            if response is not None:
                response.headers.setdefault("Date", formatdate(self.emulator.now(), usegmt=True))
                return response
        target = request.full_path.rstrip("?")
        answer = self.emulator.answer(request.method, target, dict(request.headers), body)
        self.answered.append(answer.body)
        return Response(answer.body, answer.status, answer.headers)

    @property
    def answers(self) -> List[Any]:
        """Decode what was answered so far."""
        return list(map(json.loads, self.answered))

    def hold(self, held: Callable[[Request], bool] = lambda request: True) -> threading.Event:
        """Answer such requests only when the event is set, or the test is long over."""
        release = threading.Event()

        def wait(request: Request) -> None:
            if held(request):
                release.wait(30)

        self.always = wait
        return release

    def entry(self, **keys: Any) -> Dict[str, Any]:
        """Write an instance that asks this cloud."""
        hosts = dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), self.url)
        return {**hosts, "project_id": PROJECT_ID, **keys}

    def statistics(self) -> List[Dict[str, Any]]:
        """List the bodies of the statistics calls so far."""
        called = [request for request in self.seen if request.path.endswith("/show-statistics")]
        return [json.loads(request.get_data()) for request in called]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def cloud(httpserver: HTTPServer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud(httpserver, Emulator({AK: SK}, now=clock.now))
    # Its server sends a Date of its own, before the emulator's.
    monkeypatch.setattr(WSGIRequestHandler, "date_time_string", lambda *_: formatdate(made.emulator.now(), usegmt=True))
    return made


@pytest.fixture
def make_collector(cloud: Cloud, clock: FixedClock) -> Callable[..., Collector]:
    """Make a collector on the fixed clock; what it sends to the cloud is answered in the process."""
    fixed = clock.clock

    def make(
        entry: Dict[str, Any],
        credentials: Optional[Credentials] = None,
        clock: Optional[Clock] = None,
        gates: Optional[Gates] = None,
        consumer: Optional[Consumer] = None,
        provider: Optional[Provider] = None,
        transport: Optional[client.Transport] = None,
    ) -> Collector:
        clock = clock or fixed
        instance = load_instance(entry, {}, "instances[0]", clock.now())
        given = credentials or Credentials(AK, SK)
        gates = gates or Gates(Store(), clock)
        source = provider or (lambda: given)
        transport = transport or EmulatorTransport(cloud, instance)
        return Collector(instance, source, transport, gates, clock, consumer=consumer)

    return make


@pytest.fixture
def program(tmp_path: Path, cloud: Cloud, clock: FixedClock) -> Program:
    return Program(tmp_path, cloud, clock)
