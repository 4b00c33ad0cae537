"""Root looks after an agent's state and keys: what it leaves behind protects the key as before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, Set

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import Cloud, FixedClock, Program
from .server import Act, Exchange, Server, Step
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
    return server.config(nobody.program, project_id=PROJECT_ID, state_dir=str(state))


def wrong_runs(nobody: Somebody, config: str, count: int) -> List[Result]:
    runs = [nobody.program.process("collect", "--config", config, HW_SECRET_KEY="wrong") for _ in range(count)]
    return [Result(parse_line(done.stdout.strip())["fields"]["result_code"]) for done in runs]


@pytest.mark.parametrize("first", ["doctor", "report", "collect", "the agent"])
def test_who_asked_first_holds_the_other_back_and_the_state_stays_the_agents(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path, first: str
) -> None:
    if first == "the agent":
        assert wrong_runs(nobody, config, 1) == [Result.KEY_REFUSED]
        first = "doctor"
    assert program(first, "--config", config, HW_SECRET_KEY="wrong").returncode == 1
    assert wrong_runs(nobody, config, 6) == [Result.KEY_REFUSED] * 6
    assert len(server.requests) == 1
    assert {(path.stat().st_uid, path.stat().st_gid) for path in state.iterdir()} == {(NOBODY, NOBODY)}


@pytest.mark.parametrize("held", [[NAME], [f"{NAME}-lock"], [NAME, f"{NAME}-lock"]])
def test_with_a_state_that_exists_but_cannot_be_read_each_run_asks_once_alone(
    nobody: Somebody, server: Server, program: Program, config: str, state: Path, held: List[str]
) -> None:
    assert program("collect", "--config", config).returncode == 0
    for path in state.iterdir():
        os.chown(path, *((0, 0) if path.name in held else (NOBODY, NOBODY)))
        path.chmod(0o600)
    before = len(server.requests)
    assert set(wrong_runs(nobody, config, 3)) == {Result.KEY_REFUSED}
    assert len(server.requests) - before <= 3
    assert server.emulator.times_locked == 0
    at_once: List[int] = []
    under_way: Set[int] = set()

    def count(exchange: Exchange) -> Iterator[Step]:
        under_way.add(id(exchange))
        at_once.append(len(under_way))
        yield from [Act.PAUSE] * 4
        under_way.discard(id(exchange))
        yield exchange.truth()

    server.fault = count
    done = nobody.program.process("collect", "--config", config)
    assert (done.returncode, done.stdout.count("huawei_maas_usage,")) == (0, 3)
    assert done.stderr.startswith(f"W! {state / NAME}: cannot write the state: no access." if NAME in held else "")
    assert at_once == [1] * 4 or held == [f"{NAME}-lock"]
