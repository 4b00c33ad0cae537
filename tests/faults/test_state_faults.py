"""Faults of the disk, the file system and the state file: no crash, no wrong value, no silent loss."""

from __future__ import annotations

import contextlib
import re
import resource
import sqlite3
import subprocess
from pathlib import Path
from typing import Callable, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID

from ..conftest import Program
from .checks import run_cycle, stored_requests
from .faulty_cloud import Act, Exchange, FaultyServer, Step
from .preload import NO_LOCKS, compile_library

NAME = "maas-usage-check.sqlite3"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / NAME


@pytest.fixture
def config(server: FaultyServer, program: Program, state: Path) -> str:
    return server.config(program, state_dir=str(state.parent))


def in_shell(program: Program, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program by a shell script that calls it as "$@"."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *program.command, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**program.environ, **environ},
        timeout=60,
        check=False,
    )


def on_a_full_disk(program: Program, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a file size limit of 0, which acts like a full disk."""
    return in_shell(program, 'ulimit -f 0; exec "$@"', *arguments, **environ)


def code(done: subprocess.CompletedProcess[str]) -> int:
    return int(parse_line(done.stdout.splitlines()[-1])["fields"]["result_code"])


def test_full_disk(server: FaultyServer, program: Program, config: str, state: Path) -> None:
    """A full disk is a warning, and a stored wait still holds."""
    done = on_a_full_disk(program, "collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 0)
    full = f"{state}: cannot write the state: disk full."
    assert done.stderr == f"W! {full} Waits after a refusal are forgotten at exit; free some space\n"
    program("collect", "--config", config, HW_SECRET_KEY="wrong")
    before = len(server.requests)
    done = on_a_full_disk(program, "collect", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, code(done), len(server.requests)) == (1, 3, before)
    assert f"W! {full}" in done.stderr


@pytest.mark.parametrize("blocks", [0, 64])
def test_hours_on_full_disk(server: FaultyServer, program: Program, state: Path, blocks: int) -> None:
    """The ranges are collected, the result is partial, a line says what is paused, and doctor reports the full disk."""
    config = server.config(program, state_dir=str(state.parent), hourly=True, backfill_days=1)
    full = f"{state}: cannot write the state: disk full"
    done = in_shell(program, f'ulimit -f {blocks}; exec "$@"', "collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 1)
    assert "huawei_maas_usage," in done.stdout
    assert "huawei_maas_hourly," not in done.stdout
    paused = f"W! cn-southwest-2: {full}. Hours and counters are paused; free some space"
    assert [line for line in done.stderr.splitlines() if "paused" in line] == [paused]
    done = in_shell(program, f'ulimit -f {blocks}; exec "$@"', "doctor", "--config", config)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == f"FAIL  state            {full}; free some space"


def test_one_request_at_a_time(server: FaultyServer, program: Program, state: Path) -> None:
    """Without a state that can be read or written, the refusals of other processes are not known."""
    in_flight: List[Exchange] = []
    most: List[int] = []

    def slow(exchange: Exchange) -> Iterator[Step]:
        in_flight.append(exchange)
        most.append(len(in_flight))
        yield from [Act.PAUSE] * 3
        in_flight.remove(exchange)
        yield exchange.true_answer()

    server.fault = slow
    ranges = [f"last_{days}d" for days in range(1, 8)]
    config = server.config(program, project_id=PROJECT_ID, state_dir=str(state.parent), ranges=ranges, deadline=300)
    done = on_a_full_disk(program, "collect", "--config", config)
    assert (done.returncode, code(done), done.stderr.count("\n")) == (0, 0, 1)
    assert most == [1] * 7
    assert program.process("collect", "--config", config).returncode == 0
    assert max(most) > 1


def test_disk_has_room_again(server: FaultyServer, program: Program, config: str, state: Path) -> None:
    """Execd writes the state as soon as the disk has room; requests sent on the full disk are not counted."""
    process, limit = program.start("execd", "--config", config), resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def requests_stored_with(room: int) -> int:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, limit))
        run_cycle(process)
        return stored_requests(state)

    before = requests_stored_with(limit)
    assert before == requests_stored_with(0) < len(server.requests)
    meanwhile = len(server.requests) - before
    assert requests_stored_with(limit) == len(server.requests) - meanwhile > before
    _, errors = process.communicate(timeout=20)
    assert [line[:14] for line in errors.decode().splitlines()] == ["W! " + str(state)[:11]]


def test_output_on_full_disk(program: Program, config: str, tmp_path: Path) -> None:
    """On a full disk, --output keeps the old file."""
    output = tmp_path / "maas.prom"
    arguments = ("collect", "--config", config, "--format", "prometheus", "--output", str(output))
    assert program(*arguments).returncode == 0
    before = output.read_text()
    done = on_a_full_disk(program, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--output:" in done.stderr.splitlines()[0]
    assert output.read_text() == before
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("errors", ["/dev/full", "&-"])
def test_full_or_closed_stderr(program: Program, config: str, state: Path, errors: str) -> None:
    """Points are written although standard error is full or closed."""
    state.parent.mkdir(0o700)
    state.write_bytes(b"noise" * 1000)  # causes a warning
    done = in_shell(program, f'exec "$@" 2>{errors}', "collect", "--config", config)
    assert (done.returncode, done.stdout.count("\n")) == (0, 4)
    assert "W!" not in done.stdout


def test_read_only_folder(server: FaultyServer, program: Program) -> None:
    """A folder where not even root can write is a warning."""
    done = program("collect", "--config", server.config(program, state_dir="/sys/maas-usage-check"))
    assert (done.returncode, code(done)) == (0, 0)
    assert done.stderr.startswith(f"W! /sys/maas-usage-check/{NAME}: cannot write the state: ")


def test_damaged_entry(program: Program, config: str, state: Path) -> None:
    """A damaged entry that may have held a wait is reported."""
    assert code(program("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    with contextlib.closing(sqlite3.connect(state)) as file:
        file.execute('UPDATE entries SET value = replace(value, \'"refusals":1\', \'"refusals":"x"\')')
        file.commit()
    done = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    assert done.returncode == 1
    assert "a wait after a refusal may be lost" in done.stderr


def test_hanging_folder(
    tmp_path: Path, program: Program, server: FaultyServer, state: Path, need: Callable[[str], str]
) -> None:
    """A cycle ends by its deadline although every open of the state file hangs, as on a dead network drive."""
    library = compile_library(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", "for (;;) pause();"))
    config = server.config(program, deadline=1, state_dir=str(state.parent))
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (1, 13)
    silent = f"the state folder {state.parent} does not answer; set state_dir to a folder on a local disk"
    assert done.stderr.startswith(f"E! cn-southwest-2: {silent} (no values for ")
    done = program.process("doctor", "--config", server.config(program, timeout=1, state_dir=str(state.parent)),
                           LD_PRELOAD=library)  # fmt: skip
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert f"FAIL  state            {silent}" in lines
    assert "skip  answer           not queried: the state does not answer" in lines
    assert "check the network" not in done.stdout


def test_no_locks(tmp_path: Path, program: Program, config: str, need: Callable[[str], str]) -> None:
    """A file system without locks is a warning."""
    library = compile_library(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", ""))
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (0, 0)
    assert "set state_dir to a folder on a local disk" in done.stderr


def test_refusal_is_synced(program: Program, config: str, tmp_path: Path, need: Callable[[str], str]) -> None:
    """A refusal, unlike a success, is synced to disk before the points are printed, as strace shows."""
    trace = tmp_path / "trace"
    calls = "trace=recvfrom,read,fdatasync,fsync,write"
    program.command = [need("strace"), "-f", "-y", "-qq", "-s", "200", "-e", calls, "-o", str(trace), *program.command]

    def is_synced_after(status: int) -> bool:
        lines = trace.read_text().splitlines()
        answers = [i for i, line in enumerate(lines) if re.search(rf"(recvfrom|read)\(.*HTTP/1.1 {status}", line)]
        printed = next(i for i, line in enumerate(lines) if "write(1" in line and "huawei_maas" in line)
        return any("sync(" in line and f"{NAME}-wal" in line for line in lines[answers[0] : printed])

    assert code(program.process("collect", "--config", config)) == 0
    assert not is_synced_after(200)
    assert code(program.process("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    assert is_synced_after(401)
