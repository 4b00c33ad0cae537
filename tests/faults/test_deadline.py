"""A cycle ends by its deadline whatever hangs, and an interrupted one still prints whole lines."""

from __future__ import annotations

import select
import signal
import socket
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import FixedClock, Program, wait_for
from .faulty_cloud import Act, Exchange, FaultyCloud, FaultyServer, always, drip
from .table import HEAD

FAULTS = {
    "headers": always(Act.HANG),
    "body": always(HEAD, Act.HANG),
    "a byte of the body at a time": always(HEAD, *drip(b" " * 10)),
}
SLOW_HEADERS = always(*drip(HEAD))
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
LONG = {"skip_proxy": True, "timeout": 3600, "deadline": 3600}


def check_deadline(done: Any) -> None:
    fields = parse_line(done.stdout.strip())["fields"]
    assert (done.returncode, fields["up"], fields["result_code"]) == (1, 0, Result.TIMED_OUT), done.stderr
    assert done.stderr.startswith("E! cn-southwest-2")
    assert "no answer within the deadline of 1 s" in done.stderr


@each_fault
@pytest.mark.parametrize("project", [None, PROJECT_ID])
def test_hanging_answer(
    faulty_cloud: FaultyCloud, clock: FixedClock, local_program: Program, fault: Any, project: Any
) -> None:
    faulty_cloud.fault = fault
    began = clock.at
    config = faulty_cloud.config(local_program, project_id=project, **LONG)
    check_deadline(local_program("collect", "--config", config, "--deadline", "1"))
    assert clock.at - began < 1.1


@pytest.fixture
def full() -> Iterator[str]:
    """Listen with a full backlog: a new connection is never accepted."""
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
    """Accept connections, but never answer the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def unresolved() -> str:
    return "https://cloud.example.com"


@pytest.mark.parametrize("where", ["full", "silent", "unresolved"])
def test_hanging_connection(
    where: str, faulty_cloud: FaultyCloud, program: Program, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The process exits although a connection hangs. The resolver hangs by a patched socket.getaddrinfo."""
    faulty_cloud.url = request.getfixturevalue(where)
    if where == "unresolved":
        hangs = "import socket, time\nsocket.getaddrinfo = lambda *a, **k: time.sleep(3600)\n"
        (tmp_path / "sitecustomize.py").write_text(hangs)
    config = faulty_cloud.config(program, project_id=PROJECT_ID, **LONG)
    check_deadline(program.process("collect", "--config", config, "--deadline", "1", PYTHONPATH=str(tmp_path)))


def test_slow_headers(server: FaultyServer, program: Program) -> None:
    """Headers that arrive a byte at a time outlast the timeout of their request: the scheduler leaves it behind."""
    server.fault = SLOW_HEADERS
    config = server.config(program, project_id=PROJECT_ID, **{**LONG, "timeout": 0.5})
    check_deadline(program.process("collect", "--config", config, "--deadline", "1"))


@pytest.mark.parametrize("fault", [*FAULTS.values(), SLOW_HEADERS], ids=[*FAULTS, "a byte of the headers at a time"])
def test_agent(server: FaultyServer, agent: Callable[..., Any], aggregator: Any, fault: Any) -> None:
    server.fault = fault
    assert agent(server.entry(project_id=PROJECT_ID, deadline=1)).run() != ""
    assert [metric.value for metric in aggregator.metrics("huawei_maas.api.up")] == [0]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_sigterm_at_each_request(server: FaultyServer, program: Program, number: int) -> None:
    """SIGTERM ends the cycle with the values it has."""

    def hang(exchange: Exchange) -> Any:
        return (Act.HANG,) if len(server.requests) >= number else None

    server.fault = hang
    config = server.config(program, project_id=PROJECT_ID, max_concurrency=1, **LONG)
    process = program.start("collect", "--config", config)
    wait_for(lambda: len(server.requests) == number, "the request", 50)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=50)
    assert output.endswith(b"\n")
    *usage, api = (parse_line(line) for line in output.decode().splitlines())
    assert (len(usage), api["measurement"], api["fields"]["up"]) == (number - 1, "huawei_maas_api", int(number > 1))
    assert process.returncode == (0 if number > 1 else 1)
    assert b"Traceback" not in errors
