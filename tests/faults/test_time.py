"""The deadline holds whatever hangs, and whoever is cut off leaves whole lines behind."""

from __future__ import annotations

import random
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import Program
from .server import Server, drip
from .table import hang, send_then

DEADLINE = 1.0
LOAD = 3.0
"""Seconds that a busy machine may take beyond it. What hangs here does so for far longer."""
HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n"
FAULTS = {
    "headers": send_then(b"", hang),
    "a half header": send_then(b"HTTP/1.1 200 X\r\nContent-", hang),
    "body": send_then(HEAD, hang),
    "a byte of the headers at a time": drip(HEAD),
    "a byte of the body at a time": send_then(HEAD, lambda exchange: drip(b" " * 1000)(exchange) and None),
}


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
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for client in waiting:
            client.close()


def check_deadline(program: Program, endpoint: str, project: str = f"project_id: {PROJECT_ID}, ") -> None:
    config = program.config(
        f"instances:\n  - {{endpoint: '{endpoint}', iam_endpoint: '{endpoint}', {project}skip_proxy: true}}\n"
    )
    began = time.monotonic()
    done = program("collect", "--config", config, "--deadline", str(DEADLINE))
    took = time.monotonic() - began
    fields = parse_line(done.stdout.strip())["fields"]
    assert (done.returncode, fields["up"], fields["result_code"]) == (1, 0, 13), done.stderr
    assert done.stderr.startswith("E! cn-southwest-2")
    assert fields["duration_seconds"] < DEADLINE + LOAD
    assert took < DEADLINE + 2 * LOAD, "the process did not leave"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("project", ["", f"project_id: {PROJECT_ID}, "])
def test_the_deadline_holds_when_an_answer_hangs(server: Server, program: Program, name: str, project: str) -> None:
    server.fault = FAULTS[name]
    check_deadline(program, server.url, project)


def test_the_deadline_holds_when_nobody_accepts_the_connection(full: str, program: Program) -> None:
    check_deadline(program, f"http://{full}")


def test_the_deadline_holds_when_tls_is_never_agreed_on(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_deadline(program, f"https://127.0.0.1:{server.getsockname()[1]}")


def test_the_deadline_holds_when_a_name_is_never_resolved(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    # The resolver of the C library cannot be made to hang without changing this machine: so Python's door to it.
    (folder / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *a, **k: time.sleep(60)\n"
    )
    program.environ["PYTHONPATH"] = str(folder)
    check_deadline(program, "https://cloud.example.com")


@pytest.mark.parametrize("name", FAULTS)
def test_the_deadline_holds_in_the_agent(server: Server, agent: Callable[..., Any], aggregator: Any, name: str) -> None:
    server.fault = FAULTS[name]
    check = agent({"endpoint": server.url, "iam_endpoint": server.url, "project_id": PROJECT_ID, "deadline": DEADLINE})
    began = time.monotonic()
    assert check.run() != ""
    assert time.monotonic() - began < DEADLINE + LOAD
    assert [metric.value for metric in aggregator.metrics("huawei_maas.api.up")] == [0]


def slowly(server: Server, seconds: float) -> None:
    def fault(exchange: Any) -> None:
        time.sleep(seconds)

    server.fault = fault  # type: ignore[assignment]


def configured(program: Program, server: Server) -> str:
    return program.config(
        f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}', project_id: {PROJECT_ID},"
        " max_concurrency: 1}\n"
    )


def whole(output: bytes) -> List[Any]:
    assert output == b"" or output.endswith(b"\n")
    return [parse_line(line) for line in output.decode().splitlines()]


def test_sigterm_at_any_moment_of_a_collect_yields_whole_lines(server: Server, program: Program) -> None:
    slowly(server, 0.05)
    config = configured(program, server)
    moments = random.Random(4)
    codes = set()
    began = time.monotonic()
    assert program("collect", "--config", config).returncode == 0
    whole_run = time.monotonic() - began
    for _ in range(25):
        process = program.start("collect", "--config", config)
        time.sleep(moments.uniform(0.0, whole_run))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=5)
        lines = whole(output)
        codes.add(process.returncode)
        if process.returncode == -signal.SIGTERM:  # before it had begun to listen: nothing was asked
            assert lines == []
            continue
        usage = [line for line in lines if line["measurement"] == "huawei_maas_usage"]
        assert lines[-1]["measurement"] == "huawei_maas_api"
        assert process.returncode == (0 if lines[-1]["fields"]["up"] else 1)
        assert bool(usage) <= bool(lines[-1]["fields"]["up"])
        assert b"Traceback" not in errors
    assert 0 in codes


def test_execd_killed_at_any_moment_and_started_again_carries_on(server: Server, program: Program) -> None:
    slowly(server, 0.01)
    config = configured(program, server)
    moments = random.Random(5)
    for _ in range(12):
        process = program.start("execd", "--config", config)
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"\n")
        lines: List[Any] = []
        while not lines or lines[-1]["measurement"] != "huawei_maas_api":
            assert select.select([process.stdout], [], [], 10)[0]
            lines.append(parse_line(process.stdout.readline().decode().rstrip("\n")))
        assert lines[-1]["fields"]["result_code"] == 0
        process.stdin.write(b"\n")
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        _, errors = process.communicate(timeout=5)
        assert errors == b"", "the state was harmed"
