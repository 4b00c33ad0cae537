"""Root runs commands over an agent's state: the agent's user still owns it, and the key stays protected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List, Set

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import Cloud, FixedClock, Program
from .faulty_cloud import Act, Exchange, FaultyServer, Step
from .other_user import NOBODY, OtherUser, other_user

NAME = "maas-usage-check.sqlite3"


@pytest.fixture
def nobody(cloud: Cloud, clock: FixedClock) -> Iterator[OtherUser]:
    yield from other_user(NOBODY, ["setpriv"], cloud, clock)


@pytest.fixture
def state(nobody: OtherUser) -> Path:
    folder = nobody.program.folder / "state"
    folder.mkdir(0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def config(nobody: OtherUser, server: FaultyServer, state: Path) -> str:
    return server.config(nobody.program, project_id=PROJECT_ID, state_dir=str(state))


def run_with_wrong_key(nobody: OtherUser, config: str, count: int) -> List[Result]:
    runs = [nobody.program.process("collect", "--config", config, HW_SECRET_KEY="wrong") for _ in range(count)]
    return [Result(parse_line(done.stdout.strip())["fields"]["result_code"]) for done in runs]


@pytest.mark.parametrize("first", ["doctor", "report", "collect", "the agent"])
def test_refusal_is_shared_with_root(
    nobody: OtherUser, server: FaultyServer, program: Program, config: str, state: Path, first: str
) -> None:
    """A refusal makes the other user wait too, and the state still belongs to the agent's user."""
    if first == "the agent":
        assert run_with_wrong_key(nobody, config, 1) == [Result.KEY_REFUSED]
        first = "doctor"
    assert program(first, "--config", config, HW_SECRET_KEY="wrong").returncode == 1
    assert run_with_wrong_key(nobody, config, 6) == [Result.KEY_REFUSED] * 6
    assert len(server.requests) == 1
    assert {(path.stat().st_uid, path.stat().st_gid) for path in state.iterdir()} == {(NOBODY, NOBODY)}


@pytest.mark.parametrize("of_root", [[NAME], [f"{NAME}-lock"], [NAME, f"{NAME}-lock"]])
def test_unreadable_state(
    nobody: OtherUser, server: FaultyServer, program: Program, config: str, state: Path, of_root: List[str]
) -> None:
    """With a state that cannot be read, a run tries a wrong key once, and sends one request at a time."""
    assert program("collect", "--config", config).returncode == 0
    for path in state.iterdir():
        os.chown(path, *((0, 0) if path.name in of_root else (NOBODY, NOBODY)))
        path.chmod(0o600)
    before = len(server.requests)
    assert set(run_with_wrong_key(nobody, config, 3)) == {Result.KEY_REFUSED}
    assert len(server.requests) - before <= 3
    assert server.emulator.lockouts == 0
    concurrency: List[int] = []
    in_flight: Set[int] = set()

    def count(exchange: Exchange) -> Iterator[Step]:
        in_flight.add(id(exchange))
        concurrency.append(len(in_flight))
        yield from [Act.PAUSE] * 4
        in_flight.discard(id(exchange))
        yield exchange.true_answer()

    server.fault = count
    done = nobody.program.process("collect", "--config", config)
    assert (done.returncode, done.stdout.count("huawei_maas_usage,")) == (0, 3)
    assert done.stderr.startswith(f"W! {state / NAME}: cannot write the state: no access." if NAME in of_root else "")
    assert concurrency == [1] * 4 or of_root == [f"{NAME}-lock"]
