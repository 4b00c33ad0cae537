"""What becomes of the state when disks, processes and files misbehave: no crash, no wrong value, no silent loss."""

from __future__ import annotations

import contextlib
import re
import resource
import sqlite3
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from line_protocol_parser import parse_line

from ..conftest import Program
from .checks import ask, known_requests
from .preload import NO_LOCKS, compiled
from .server import Server

NAME = "maas-usage-check.sqlite3"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / NAME


@pytest.fixture
def config(server: Server, program: Program, state: Path) -> str:
    return server.config(program, state_dir=str(state.parent))


def in_shell(program: Program, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program by a line of the shell, which names it "$@"."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *program.command, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**program.environ, **environ},
        timeout=60,
        check=False,
    )


def on_a_full_disk(program: Program, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Let the process write no byte to any file: what a full disk does, without filling one."""
    return in_shell(program, 'ulimit -f 0; exec "$@"', *arguments, **environ)


def code(done: subprocess.CompletedProcess[str]) -> int:
    return int(parse_line(done.stdout.splitlines()[-1])["fields"]["result_code"])


def test_a_full_disk_is_a_warning_and_a_wait_that_is_on_it_still_holds(
    server: Server, program: Program, config: str, state: Path
) -> None:
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
def test_hours_on_a_full_disk(server: Server, program: Program, state: Path, blocks: int) -> None:
    """The ranges come, the result is partial, and a line says what is paused; `doctor` finds the disk full too."""
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


def test_execd_returns_to_the_file_as_soon_as_the_disk_has_room_again(
    server: Server, program: Program, config: str, state: Path
) -> None:
    process, most = program.start("execd", "--config", config), resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def known_after(room: int) -> int:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, most))
        ask(process)
        return known_requests(state)

    assert known_after(most) == known_after(0) < known_after(most) == len(server.requests)
    _, errors = process.communicate(timeout=20)
    assert [line[:14] for line in errors.decode().splitlines()] == ["W! " + str(state)[:11]]


def test_a_full_disk_leaves_the_old_output_as_it_was(program: Program, config: str, tmp_path: Path) -> None:
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
def test_a_full_or_closed_standard_error_costs_nothing(program: Program, config: str, state: Path, errors: str) -> None:
    state.parent.mkdir(0o700)
    state.write_bytes(b"noise" * 1000)  # so that there is something to be said
    done = in_shell(program, f'exec "$@" 2>{errors}', "collect", "--config", config)
    assert (done.returncode, done.stdout.count("\n")) == (0, 4)
    assert "W!" not in done.stdout


def test_a_folder_where_not_even_root_may_write_is_a_warning(server: Server, program: Program) -> None:
    done = program("collect", "--config", server.config(program, state_dir="/sys/maas-usage-check"))
    assert (done.returncode, code(done)) == (0, 0)
    assert done.stderr.startswith(f"W! /sys/maas-usage-check/{NAME}: cannot write the state: ")


def test_a_lockout_that_a_spoilt_entry_lost_is_not_lost_in_silence(program: Program, config: str, state: Path) -> None:
    assert code(program("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    with contextlib.closing(sqlite3.connect(state)) as file:
        file.execute('UPDATE entries SET value = replace(value, \'"refusals":1\', \'"refusals":"x"\')')
        file.commit()
    done = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    assert done.returncode == 1
    assert "a wait after a refusal may be lost" in done.stderr


def test_a_folder_that_hangs_does_not_hold_a_cycle_past_its_deadline(
    tmp_path: Path, program: Program, server: Server, state: Path, need: Callable[[str], str]
) -> None:
    """Every open of the state file hangs, as on a network drive whose server is gone."""
    library = compiled(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", "for (;;) pause();"))
    config = server.config(program, deadline=1, state_dir=str(state.parent))
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (1, 13)
    silent = f"the state folder {state.parent} does not answer; set state_dir to a folder on a local disk"
    assert done.stderr.startswith(f"E! cn-southwest-2: {silent} (no values for ")
    done = program.process("doctor", "--config", server.config(program, timeout=1, state_dir=str(state.parent)),
                           LD_PRELOAD=library)  # fmt: skip
    assert done.returncode == 1
    assert f"FAIL  state            {silent}" in done.stdout.splitlines()
    assert "check the network" not in done.stdout


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, program: Program, config: str, need: Callable[[str], str]
) -> None:
    library = compiled(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", ""))
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (0, 0)
    assert "set state_dir to a folder on a local disk" in done.stderr


def test_a_refusal_is_on_the_disk_before_the_next_request_may_go(
    program: Program, config: str, tmp_path: Path, need: Callable[[str], str]
) -> None:
    """The operating system tells: after a refusal came in, and no other answer, the log was synced before the print."""
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
