"""The deadline holds whatever hangs, and whoever is cut off leaves whole lines behind."""

from __future__ import annotations

import select
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cycle import Runtime
from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import FixedClock, Program, wait_for
from .checks import ask
from .played import PlayedTransport
from .server import Act, Exchange, Scene, Server, always, drip

PROJECT = f"project_id: {PROJECT_ID}, "
HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n"
FAULTS = {
    "headers": always(Act.HANG),
    "a half header": always(b"HTTP/1.1 200 X\r\nContent-", Act.HANG),
    "body": always(HEAD, Act.HANG),
    "a byte of the headers at a time": always(*drip(HEAD)),
    "a byte of the body at a time": always(HEAD, *drip(b" " * 1000)),
}
QUERIES = 3


def configure(program: Program, endpoint: str, more: str = "") -> str:
    return program.config(
        "instances:\n"
        f"  - {{endpoint: '{endpoint}', iam_endpoint: '{endpoint}', {more}skip_proxy: true,"
        " timeout: 3600, deadline: 3600}\n"
    )


def check_deadline(done: Any) -> None:
    fields = parse_line(done.stdout.strip())["fields"]
    assert (done.returncode, fields["up"], fields["result_code"]) == (1, 0, Result.TIMED_OUT), done.stderr
    assert done.stderr.startswith("E! cn-southwest-2")
    assert "no answer within the deadline of 1 s" in done.stderr


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("project", ["", PROJECT])
def test_an_answer_hangs(scene: Scene, clock: FixedClock, program: Program, name: str, project: str) -> None:
    program.runtime = Runtime(clock.clock, partial(PlayedTransport, scene, clock))
    scene.fault = FAULTS[name]
    began = clock.at
    check_deadline(program("collect", "--config", configure(program, scene.url, project), "--deadline", "1"))
    assert clock.at - began < 1.1


@pytest.fixture
def full() -> Iterator[str]:
    """Listen, and be full: whoever connects waits for ever."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting: List[socket.socket] = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        assert select.select([], waiting[:1], [], 10)[1], "the first connection was not made"
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for client in waiting:
            client.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Accept connections, and never agree on TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("where", ["full", "silent", "unresolved"])
def test_a_connection_hangs(where: str, program: Program, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In a process that leaves all the same; the resolver of the C library hangs by Python's way to it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *a, **k: time.sleep(3600)\n" if where == "unresolved" else ""
    )
    url = "https://cloud.example.com" if where == "unresolved" else request.getfixturevalue(where)
    config = configure(program, url, PROJECT)
    check_deadline(program.process("collect", "--config", config, "--deadline", "1", PYTHONPATH=str(site)))


@pytest.mark.parametrize("name", FAULTS)
def test_the_agent_hangs(server: Server, agent: Callable[..., Any], aggregator: Any, name: str) -> None:
    server.fault = FAULTS[name]
    check = agent({"endpoint": server.url, "iam_endpoint": server.url, "project_id": PROJECT_ID, "deadline": 1})
    assert check.run() != ""
    assert [metric.value for metric in aggregator.metrics("huawei_maas.api.up")] == [0]


def hanging_from(number: int) -> Callable[[Exchange], Any]:
    """Answer truly until the request of that number, which hangs, and so do later ones."""
    left = iter(range(number - 1))
    return lambda exchange: (Act.HANG,) if next(left, None) is None else None


@pytest.mark.parametrize("number", range(1, QUERIES + 1))
def test_sigterm_at_each_request(server: Server, program: Program, number: int) -> None:
    server.fault = hanging_from(number)
    process = program.start("collect", "--config", configure(program, server.url, f"{PROJECT}max_concurrency: 1, "))
    wait_for(lambda: len(server.requests) == number, "the request", 50)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=50)
    assert output.endswith(b"\n")
    *usage, api = (parse_line(line) for line in output.decode().splitlines())
    assert (len(usage), api["measurement"], api["fields"]["up"]) == (number - 1, "huawei_maas_api", int(number > 1))
    assert process.returncode == (0 if number > 1 else 1)
    assert b"Traceback" not in errors


def test_execd_is_killed_at_each_request_and_started_again(server: Server, program: Program) -> None:
    config = configure(program, server.url, f"{PROJECT}max_concurrency: 1, ")
    for number in range(1, QUERIES + 1):
        server.restore()
        process = program.start("execd", "--config", config)
        assert ask(process)[-1]["fields"]["result_code"] == 0
        server.fault, before = hanging_from(number), len(server.requests)
        assert process.stdin
        process.stdin.write(b"\n")
        wait_for(lambda last=before + number: len(server.requests) == last, "the request", 50)
        process.kill()
        _, errors = process.communicate(timeout=50)
        assert errors == b"", "the state was harmed"
