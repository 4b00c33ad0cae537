"""An exception that is no `Exception`, such as the panic of a library in Rust, in a thread of the program."""

from __future__ import annotations

from typing import Any, List

import pytest

from maas_usage_check.cloud import DirectTransport, Request, Response
from maas_usage_check.commands import runner
from maas_usage_check.commands.runner import Runtime

from ..conftest import Cloud, FixedClock, Program

BUG = "a bug in this plugin (Panic): please report it"


class Panic(BaseException):
    """Its text holds a secret."""


class PanickingTransport(DirectTransport):
    def __call__(self, request: Request, timeout: float) -> Response:
        raise Panic("PLANTED")


@pytest.fixture
def panicking(program: Program, clock: FixedClock) -> Program:
    program.runtime = Runtime(clock.clock, PanickingTransport)
    return program


def check(done: Any, text: str) -> None:
    assert "PLANTED" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert text in done.stdout + done.stderr


@pytest.mark.parametrize("more", ["hourly: true\nmodels: true\n", "max_concurrency: 1\n"])
def test_request(cloud: Cloud, panicking: Program, more: str) -> None:
    config = panicking.cloud_config(cloud, more)
    for command in (["collect"], ["execd"], ["report", "--last", "7d"], ["report", "--daily"], ["doctor"]):
        done = panicking(*command, "--config", config, stdin="\n")
        check(done, BUG)
        assert "result_code=19i" in done.stdout or command[0] not in ("collect", "execd")


def test_credentials(cloud: Cloud, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of credentials that panics is a failure of the cycle, and of the stage of `doctor`."""

    def panic() -> Any:
        raise Panic("PLANTED")

    monkeypatch.setattr(runner, "provider", lambda source: panic)
    config = program.cloud_config(cloud)
    done = program("collect", "--config", config)
    check(done, BUG)
    assert "result_code=19i" in done.stdout
    assert cloud.requests == []


def test_connections_ahead(cloud: Cloud, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are opened ahead of the requests."""
    panicked: List[str] = []

    def connect(*arguments: Any) -> Any:
        panicked.append("PLANTED")
        raise Panic("PLANTED")

    program.runtime = Runtime(program.runtime.clock)
    monkeypatch.setattr(DirectTransport, "_connect", connect)
    done = program("collect", "--config", program.cloud_config(cloud, "project_id: d3m0d3m0d3m0d3m0d3m0d3m0d3m0d3m0"))
    check(done, BUG)
    assert len(panicked) > 1
