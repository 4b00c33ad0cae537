"""Processes that start at once, as cron and several agents do, with a cloud that takes its time."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import Program
from .checks import known_requests
from .server import Act, Server

PROCESSES = 6


def collect_at_once(program: Program, server: Server, looked_up: bool, **environ: str) -> List[Tuple[int, Result, str]]:
    """Return each one's exit code, result and first line on standard error."""
    # How long each answer takes, so that all of them wait for one another. The deadline is beyond any load.
    server.fault = lambda exchange: [*[Act.PAUSE] * 10, exchange.truth()]
    keys: Dict[str, Any] = {} if looked_up else {"project_id": PROJECT_ID}
    config = server.config(program, deadline=300, state_dir=str(program.folder / "kept"), **keys)
    processes = [program.start("collect", "--config", config, **environ) for _ in range(PROCESSES)]
    ended: List[Tuple[int, Result, str]] = []
    for process in processes:
        output, errors = process.communicate(timeout=100)
        api = parse_line(output.decode().splitlines()[-1])
        ended.append((process.returncode, Result(api["fields"]["result_code"]), errors.decode().partition("\n")[0]))
    return ended


@pytest.mark.timeout(120)
@pytest.mark.parametrize("looked_up", [False, True])
def test_all_get_their_numbers_and_leave_one_whole_state(server: Server, program: Program, looked_up: bool) -> None:
    assert collect_at_once(program, server, looked_up) == [(0, Result.OK, "")] * PROCESSES
    state = program.folder / "kept" / "maas-usage-check.sqlite3"
    left = {path.name for path in state.parent.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert left == {state.name, f"{state.name}-lock"}
    assert known_requests(state) == len(server.requests)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("looked_up", [False, True])
def test_a_wrong_key_is_tried_once_by_all_together(server: Server, program: Program, looked_up: bool) -> None:
    ended = collect_at_once(program, server, looked_up, HW_SECRET_KEY="wrong")
    assert len(server.requests) == 1
    assert {code for code, _, _ in ended} == {1}
    assert sorted(result for _, result, _ in ended) == [Result.KEY_REFUSED] * PROCESSES
    assert all("secret key belongs to the access key" in line for _, _, line in ended)
