"""Processes that start at once, as under cron or several agents, with a slow cloud."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import Program
from .checks import stored_requests
from .faulty_cloud import Act, FaultyServer

PROCESSES = 10


def collect_at_once(
    program: Program, server: FaultyServer, needs_lookup: bool, **environ: str
) -> List[Tuple[int, Result, str]]:
    """Return each process's exit code, result and first line on standard error."""
    # Slow answers make the processes wait for one another. The deadline is longer than any load.
    server.fault = lambda exchange: [*[Act.PAUSE] * 10, exchange.true_answer()]
    keys: Dict[str, Any] = {} if needs_lookup else {"project_id": PROJECT_ID}
    config = server.config(program, deadline=300, state_dir=str(program.folder / "shared"), **keys)
    processes = [program.start("collect", "--config", config, **environ) for _ in range(PROCESSES)]
    ended: List[Tuple[int, Result, str]] = []
    for process in processes:
        output, errors = process.communicate(timeout=100)
        api = parse_line(output.decode().splitlines()[-1])
        ended.append((process.returncode, Result(api["fields"]["result_code"]), errors.decode().partition("\n")[0]))
    return ended


@pytest.mark.timeout(120)
@pytest.mark.parametrize("needs_lookup", [False, True])
def test_right_key(server: FaultyServer, program: Program, needs_lookup: bool) -> None:
    """All processes collect, and the state counts all their requests."""
    assert collect_at_once(program, server, needs_lookup) == [(0, Result.OK, "")] * PROCESSES
    state = program.folder / "shared" / "maas-usage-check.sqlite3"
    files = {path.name for path in state.parent.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert files == {state.name, f"{state.name}-lock"}
    assert stored_requests(state) == len(server.requests)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("needs_lookup", [False, True])
def test_wrong_key(server: FaultyServer, program: Program, needs_lookup: bool) -> None:
    """All processes together try a wrong key once."""
    ended = collect_at_once(program, server, needs_lookup, HW_SECRET_KEY="wrong")
    assert len(server.requests) == 1
    assert {code for code, _, _ in ended} == {1}
    assert sorted(result for _, result, _ in ended) == [Result.KEY_REFUSED] * PROCESSES
    assert all("secret key belongs to the access key" in line for _, _, line in ended)
