"""Processes that start at once, as cron and several agents do, with a cloud that takes its time."""

from __future__ import annotations

from typing import List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import Program
from .server import Exchange, Server

PROCESSES = 6
SECONDS = 0.5
"""How long each answer takes, so that all of them wait for one another. The deadline is beyond any load."""


@pytest.fixture
def slow(server: Server) -> Server:
    def fault(exchange: Exchange) -> None:
        server.hang(SECONDS)

    server.fault = fault  # type: ignore[assignment]
    return server


def collect_at_once(program: Program, server: Server, looked_up: bool, **environ: str) -> List[Tuple[int, Result, str]]:
    """Return each one's exit code, result and first line on standard error."""
    project = "" if looked_up else f"    project_id: {PROJECT_ID}\n"
    config = program.config(
        f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n    deadline: 300\n{project}"
    )
    processes = [program.start("collect", "--config", config, **environ) for _ in range(PROCESSES)]
    ended: List[Tuple[int, Result, str]] = []
    for process in processes:
        output, errors = process.communicate(timeout=100)
        api = parse_line(output.decode().splitlines()[-1])
        ended.append((process.returncode, Result(api["fields"]["result_code"]), errors.decode().partition("\n")[0]))
    return ended


@pytest.mark.timeout(120)
@pytest.mark.parametrize("looked_up", [False, True])
def test_many_at_once_all_get_their_numbers(slow: Server, program: Program, looked_up: bool) -> None:
    assert collect_at_once(program, slow, looked_up) == [(0, Result.OK, "")] * PROCESSES


@pytest.mark.timeout(120)
@pytest.mark.parametrize("looked_up", [False, True])
def test_many_at_once_with_a_wrong_key_ask_once_together(slow: Server, program: Program, looked_up: bool) -> None:
    ended = collect_at_once(program, slow, looked_up, HW_SECRET_KEY="wrong")
    assert len(slow.requests) == 1
    assert {code for code, _, _ in ended} == {1}
    assert sorted(result for _, result, _ in ended) == [Result.KEY_REFUSED, *[Result.BACKING_OFF] * (PROCESSES - 1)]
    assert all("secret key belongs to the access key" in line for _, _, line in ended)
