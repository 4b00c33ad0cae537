"""The cloud of these tests: the emulator behind a real HTTP server on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from hypothesis import HealthCheck, settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from maas_usage_check.access import Credentials, Gates, Provider
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import DirectTransport
from maas_usage_check.config import load_instance
from maas_usage_check.cycle import Collector
from maas_usage_check.history import Consumer
from maas_usage_check.standin.emulator import PROJECT_ID, Emulator
from maas_usage_check.store import Store

# Deadlines measure this machine, not the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

AK, SK = "TESTACCESSKEY0000000", "test/secret+key=for-these-tests-only-0000"
NOW = 1_795_435_200.0
"""2026-11-23 12:00:00 UTC."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start every test without the developer's keys, proxies and state."""
    for name in list(os.environ):
        if name.startswith(("HW_", "HUAWEICLOUD_", "HC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    # Where no byte code is kept, each of a thousand processes would compile the plugin anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture(scope="session")
def make_httpserver() -> Iterator[HTTPServer]:
    """Serve with threads: one query that hangs must not hold the others up."""
    with HTTPServer(threaded=True) as server:
        yield server


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Come back as soon as a condition holds; fail when it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.005)


@pytest.fixture
def in_one_hour() -> None:
    """Let the stroke of an hour pass by, for tests that compare two answers or count the hours asked for."""
    wait_for(lambda: 2 < time.time() % 3600 < 3580, "the hour to have struck", 30)


class Cloud:
    """An emulator, the URL it is served at, and what to do instead of answering truly."""

    def __init__(self, server: HTTPServer, emulator: Emulator) -> None:
        self.emulator = emulator
        self.url = server.url_for("").rstrip("/")
        self.instead: List[Optional[Callable[[Request], Response]]] = []
        self.always: Optional[Callable[[Request], Optional[Response]]] = None
        self.seen: List[Request] = []
        self.answers: List[Any] = []
        server.expect_request(re.compile(".*")).respond_with_handler(self._handle)

    def _handle(self, request: Request) -> Response:
        self.seen.append(request)
        body = request.get_data()
        other = self.instead.pop(0) if self.instead else self.always
        if other:
            response = other(request)
            if response is not None:
                return response
        target = request.full_path.rstrip("?")
        answer = self.emulator.answer(request.method, target, dict(request.headers), body)
        self.answers.append(json.loads(answer.body))
        return Response(answer.body, answer.status, answer.headers)

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
def cloud(httpserver: HTTPServer) -> Cloud:
    return Cloud(httpserver, Emulator({AK: SK}))


@pytest.fixture
def make_collector() -> Callable[..., Collector]:
    """Make a collector of the real client over real HTTP, with a clock of the test's choice."""

    def make(
        entry: Dict[str, Any],
        credentials: Optional[Credentials] = None,
        clock: Optional[Clock] = None,
        gates: Optional[Gates] = None,
        consumer: Optional[Consumer] = None,
        provider: Optional[Provider] = None,
    ) -> Collector:
        clock = clock or Clock(sleep=lambda seconds: None)
        instance = load_instance(entry, {}, "instances[0]", clock.now())
        given = credentials or Credentials(AK, SK)
        gates = gates or Gates(Store(), clock)
        source = provider or (lambda: given)
        return Collector(instance, source, DirectTransport(instance), gates, clock, consumer=consumer)

    return make


class Program:
    """The installed command, run as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONIOENCODING": "utf-8"}
        self.command = [sys.executable, "-m", "maas_usage_check"]

    def config(self, text: str, name: str = "conf.yaml") -> str:
        """Write a configuration file and return its path."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    def for_cloud(self, cloud: Cloud, more: str = "") -> str:
        """Write the configuration of one instance that asks a cloud."""
        hosts = "".join(f"{key}: {cloud.url}\n" for key in ("endpoint", "iam_endpoint", "cloud_eye_endpoint"))
        keys = hosts + textwrap.dedent(more).strip("\n")
        return self.config(f"instances:\n  -\n{textwrap.indent(keys, '    ')}\n")

    def __call__(self, *arguments: str, stdin: str = "", **environ: Optional[str]) -> subprocess.CompletedProcess[str]:
        merged = {**self.environ, **environ}
        return subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env={name: value for name, value in merged.items() if value is not None},
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            env={**self.environ, **environ},
        )


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)
