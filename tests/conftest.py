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

import pytest
from hypothesis import HealthCheck, settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler
from werkzeug.test import EnvironBuilder

from maas_usage_check import cloud as client
from maas_usage_check import watchdog
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials, Provider
from maas_usage_check.collection import Collector
from maas_usage_check.config import load_instance
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.ledger import Consumer
from maas_usage_check.scheduling import Schedulers
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
    """Remove the developer's keys, proxies and state, and the thread count of other tests."""
    for name in list(os.environ):
        if name.startswith(("HW_", "HUAWEI", "HC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(watchdog, "_left", {})  # each test has a clock of its own
    # Without byte code each of a thousand processes would compile the plugin.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture(scope="session")
def make_httpserver() -> Iterator[HTTPServer]:
    """Serve each request in its own thread: a query that hangs must not block the others."""
    with HTTPServer(threaded=True) as server:
        yield server


def wait_for(condition: Callable[[], Any], event: str, seconds: float = 60.0) -> None:
    """Wait until a condition is true; after the timeout fail with the name of the event."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{event}: not within {seconds:g} s"
        time.sleep(0.005)


class Cloud:
    """An emulator behind a URL. `next_responders` and `responder` replace its responses."""

    def __init__(self, server: HTTPServer, emulator: Emulator) -> None:
        self.emulator = emulator
        self.url = server.url_for("").rstrip("/")
        self.next_responders: List[Optional[Callable[[Request], Response]]] = []
        """One for each of the next requests; None leaves it to the emulator."""
        self.responder: Optional[Callable[[Request], Optional[Response]]] = None
        """For all other requests; where it returns None the emulator answers."""
        self.requests: List[Request] = []
        self.response_bodies: List[bytes] = []
        server.expect_request(re.compile(".*")).respond_with_handler(self._respond)

    def transport(self, request: client.Request, timeout: float) -> client.Response:
        """Answer a signed request without a network; see Transport."""
        target = request.url[len(self.url) :]
        built = EnvironBuilder(target, self.url, method=request.method, headers=request.headers, data=request.body)
        response = self._respond(built.get_request())
        return client.Response(response.status_code, response.headers, response.get_data())

    def _respond(self, request: Request) -> Response:
        self.requests.append(request)
        body = request.get_data()
        responder = self.next_responders.pop(0) if self.next_responders else self.responder
        if responder:
            replaced = responder(request)
            if replaced is not None:
                replaced.headers.setdefault("Date", formatdate(self.emulator.now(), usegmt=True))
                return replaced
        target = request.full_path.rstrip("?")
        response = self.emulator.answer(request.method, target, dict(request.headers), body)
        self.response_bodies.append(response.body)
        return Response(response.body, response.status, response.headers)

    @property
    def responses(self) -> List[Any]:
        """Decode the emulator's responses so far."""
        return list(map(json.loads, self.response_bodies))

    def block(self, is_blocked: Callable[[Request], bool] = lambda request: True) -> threading.Event:
        """Delay the responses to such requests until the returned event is set, at most 30 s."""
        release = threading.Event()

        def wait(request: Request) -> None:
            if is_blocked(request):
                release.wait(30)

        self.responder = wait
        return release

    def entry(self, **keys: Any) -> Dict[str, Any]:
        """Return the configuration of an instance that queries this cloud."""
        hosts = dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), self.url)
        return {**hosts, "project_id": PROJECT_ID, **keys}

    def statistics(self) -> List[Dict[str, Any]]:
        """List the bodies of the statistics requests so far."""
        requests = [request for request in self.requests if request.path.endswith("/show-statistics")]
        return [json.loads(request.get_data()) for request in requests]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def cloud(httpserver: HTTPServer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud(httpserver, Emulator({AK: SK}, now=clock.now))
    # The server adds a Date header of its own, before the emulator's.
    monkeypatch.setattr(
        WSGIRequestHandler, "date_time_string", lambda *_: formatdate(cloud.emulator.now(), usegmt=True)
    )
    return cloud


@pytest.fixture
def make_collector(cloud: Cloud, clock: FixedClock) -> Callable[..., Collector]:
    """Make collectors on the fixed clock; their requests to the cloud stay in this process."""
    fixed = clock.clock

    def make(
        entry: Dict[str, Any],
        credentials: Optional[Credentials] = None,
        clock: Optional[Clock] = None,
        schedulers: Optional[Schedulers] = None,
        consumer: Optional[Consumer] = None,
        provider: Optional[Provider] = None,
        transport: Optional[client.Transport] = None,
        rate_extension_s: float = 0.0,
    ) -> Collector:
        clock = clock or fixed
        instance = load_instance(entry, {}, "instances[0]", clock.now())
        fixed_credentials = credentials or Credentials(AK, SK)
        schedulers = schedulers or Schedulers(Store(), clock)
        source = provider or (lambda: fixed_credentials)
        transport = transport or EmulatorTransport(cloud, instance)
        return Collector(
            instance, source, transport, schedulers, clock, consumer=consumer, rate_extension_s=rate_extension_s
        )

    return make


@pytest.fixture
def program(tmp_path: Path, cloud: Cloud, clock: FixedClock) -> Program:
    return Program(tmp_path, cloud, clock)
