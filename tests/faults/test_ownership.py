"""Root looks after an agent's state and keys: what it leaves behind protects the key as before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, Set

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import Cloud, FixedClock, Program
from .server import Exchange, Server
from .somebody import NOBODY, Somebody, somebody

NAME = "maas-usage-check.sqlite3"


@pytest.fixture
def nobody(cloud: Cloud, clock: FixedClock) -> Iterator[Somebody]:
    yield from somebody(NOBODY, ["setpriv"], cloud, clock)


@pytest.fixture
def state(nobody: Somebody) -> Path:
    folder = nobody.program.folder / "state"
    folder.mkdir(0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def config(nobody: Somebody, server: Server, state: Path) -> str:
    return nobody.program.config(
        f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}', project_id: {PROJECT_ID},"
        f" state_dir: {state}}}\n"
    )


def wrong_runs(nobody: Somebody, config: str, count: int) -> List[Result]:
    runs = [nobody.program.process("collect", "--config", config, HW_SECRET_KEY="wrong") for _ in range(count)]
    return [Result(parse_line(done.stdout.strip())["fields"]["result_code"]) for done in runs]


@pytest.mark.parametrize("command", [("doctor",), ("report", "--last", "7d"), ("collect",)])
def test_what_root_asked_first_holds_the_agents_runs_back(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path, command: List[str]
) -> None:
    assert program(*command, "--config", config, HW_SECRET_KEY="wrong").returncode == 1
    assert len(server.requests) == 1
    assert wrong_runs(nobody, config, 7) == [Result.BACKING_OFF] * 7
    assert len(server.requests) == 1
    assert {(path.stat().st_uid, path.stat().st_gid) for path in state.iterdir()} == {(NOBODY, NOBODY)}


def test_what_the_agent_asked_first_holds_root_back_and_stays_the_agents(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path
) -> None:
    assert wrong_runs(nobody, config, 1) == [Result.KEY_REFUSED]
    program("doctor", "--config", config, HW_SECRET_KEY="wrong")
    assert wrong_runs(nobody, config, 3) == [Result.BACKING_OFF] * 3
    assert len(server.requests) == 1
    assert {(path.stat().st_uid, path.stat().st_gid) for path in state.iterdir()} == {(NOBODY, NOBODY)}


@pytest.mark.parametrize("held", [NAME, f"{NAME}-lock"])
def test_a_state_that_exists_but_cannot_be_read_makes_each_run_ask_once_alone(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path, held: str
) -> None:
    assert program("collect", "--config", config).returncode == 0
    for path in state.iterdir():
        os.chown(path, *((0, 0) if path.name == held else (NOBODY, NOBODY)))
        path.chmod(0o600)
    before = len(server.requests)
    runs = wrong_runs(nobody, config, 3)
    assert set(runs) <= {Result.KEY_REFUSED, Result.BACKING_OFF}
    assert len(server.requests) - before <= 3
    assert server.emulator.times_locked == 0


def test_a_state_that_exists_but_cannot_be_read_lets_a_right_key_ask_one_after_another(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path
) -> None:
    assert program("collect", "--config", config).returncode == 0
    for path in state.iterdir():
        os.chown(path, 0, 0)
        path.chmod(0o600)
    at_once: List[int] = []
    under_way: Set[int] = set()

    def count(exchange: Exchange) -> None:
        under_way.add(id(exchange))
        at_once.append(len(under_way))
        server.hang(0.2)
        under_way.discard(id(exchange))

    server.fault = count
    done = nobody.program.process("collect", "--config", config)
    assert (done.returncode, done.stdout.count("huawei_maas_usage,")) == (0, 3)
    assert done.stderr.startswith(f"W! state file {state / NAME} cannot be used")
    assert at_once == [1] * 4
