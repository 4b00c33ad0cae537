"""What becomes of the state when disks, processes and files misbehave: no crash, no wrong value, no silent loss."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.surfaces.atomic_file import replace

from ..conftest import Program
from .preload import NO_LOCKS, compiled
from .server import Server

NAME, LOCK = "maas-usage-check.sqlite3", "maas-usage-check.sqlite3-lock"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def config(server: Server, program: Program, state: Path) -> str:
    return program.config(
        f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}', state_dir: {state}}}\n"
    )


def on_a_full_disk(program: Program, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Let the process write no byte to any file: what a full disk does, without filling one."""
    # By the shell: a preexec_fn would run what libraries of the test process do after a fork, on this standard error.
    return subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *program.command, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**program.environ, **environ},
        timeout=60,
        check=False,
    )


def code(done: subprocess.CompletedProcess[str]) -> int:
    return int(parse_line(done.stdout.splitlines()[-1])["fields"]["result_code"])


def test_two_and_more_collects_at_once_all_collect_and_leave_one_whole_state(
    server: Server, program: Program, config: str, state: Path
) -> None:
    processes = [program.start("collect", "--config", config) for _ in range(6)]
    for process in processes:
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (0, b"")
    (entry,) = key_entries(state)
    assert sum(entry["sent"].values()) == len(server.requests)
    assert left_in(state) == [NAME, LOCK]


def key_entries(state: Path) -> List[Dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(state / NAME)) as file:
        return [json.loads(row[0]) for row in file.execute("SELECT value FROM entries WHERE kind = 'KeyEntry'")]


def left_in(state: Path) -> List[str]:
    """List the folder, but for the log of a process that was killed or still runs."""
    return sorted(path.name for path in state.iterdir() if not path.name.endswith(("-wal", "-shm")))


def test_a_full_disk_is_a_warning_and_a_wait_that_is_on_it_still_holds(
    server: Server, program: Program, config: str, state: Path
) -> None:
    done = on_a_full_disk(program, "collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 0)
    assert f"W! state file {state / NAME} cannot be used" in done.stderr
    assert "waits after a refusal are forgotten" in done.stderr
    program("collect", "--config", config, HW_SECRET_KEY="wrong")
    before = len(server.requests)
    done = on_a_full_disk(program, "collect", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, code(done), len(server.requests)) == (1, 5, before)
    assert "W! state file" in done.stderr


def test_execd_returns_to_the_file_as_soon_as_the_disk_has_room_again(
    server: Server, program: Program, config: str, state: Path
) -> None:
    """A disk that is full for one cycle and no longer: a soft limit of file size, which the test lifts."""
    process = program.start("execd", "--config", config)
    assert process.stdin
    assert process.stdout

    def cycle() -> None:
        process.stdin.write(b"\n")  # type: ignore[union-attr]
        while b"huawei_maas_api" not in process.stdout.readline():  # type: ignore[union-attr]
            pass

    cycle()
    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    cycle()
    known = key_entries(state)[0]["sent"]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    cycle()
    (entry,) = key_entries(state)
    assert sum(entry["sent"].values()) == len(server.requests) > sum(known.values())
    _, errors = process.communicate(timeout=20)
    assert [line[:14] for line in errors.decode().splitlines()] == ["W! state file "]


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


def test_a_full_standard_output_is_one_line_and_a_full_or_closed_standard_error_costs_nothing(
    program: Program, config: str
) -> None:
    command = [*program.command, "collect", "--config", config]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=program.environ, check=False, timeout=30
        )
        assert done.returncode == 1
        assert done.stderr.decode().splitlines() == [
            "E! standard output cannot be written (No space left on device); check where it goes"
        ]
    (Path(config).parent / "state" / NAME).write_bytes(b"noise" * 1000)  # so that there is something to be said
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=full, env=program.environ, check=False, timeout=30
        )
        assert (done.returncode, done.stdout.count(b"\n")) == (0, 4)
    shell = " ".join(command)
    done = subprocess.run(
        f"{shell} 2>&-", shell=True, capture_output=True, env=program.environ, check=False, timeout=30
    )
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 4)
    assert b"W!" not in done.stdout


def test_a_folder_where_not_even_root_may_write_is_a_warning(server: Server, program: Program) -> None:
    config = program.config(
        f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}',"
        " state_dir: /sys/maas-usage-check}\n"
    )
    done = program("collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 0)
    assert done.stderr.startswith(f"W! state file /sys/maas-usage-check/{NAME} cannot be used")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
        lambda path: change(path, "PRAGMA user_version=99"),
        lambda path: change(path, 'UPDATE entries SET value = replace(value, \'"refusals":1\', \'"refusals":"x"\')'),
    ],
    ids=["cut short", "noise", "a newer version", "another type"],
)
def test_a_lockout_that_a_spoilt_file_lost_is_not_lost_in_silence(
    program: Program, config: str, state: Path, spoil: Callable[[Path], Any]
) -> None:
    assert code(program("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    spoil(state / NAME)
    done = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    assert done.returncode == 1
    assert "waits after a refusal are forgotten" in done.stderr or "a wait after a refusal may be lost" in done.stderr


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(statement)
        file.commit()


def test_a_lock_that_another_process_never_lets_go_of_is_a_warning(program: Program, config: str, state: Path) -> None:
    program("collect", "--config", config)
    with contextlib.closing(sqlite3.connect(state / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = program.process("collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 0)
    assert "another process keeps it locked" in done.stderr


def test_a_folder_that_hangs_does_not_hold_a_cycle_past_its_deadline(
    tmp_path: Path, program: Program, need: Callable[[str], str]
) -> None:
    """Every open of the state file hangs, as on a network drive whose server is gone."""
    library = compiled(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", "for (;;) pause();"))
    config = program.config("instances:\n  - {deadline: 1, state_dir: " + str(tmp_path / "state") + "}\n")
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (1, 13)


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, program: Program, config: str, need: Callable[[str], str]
) -> None:
    library = compiled(tmp_path, need("cc"), NO_LOCKS.replace("WHEN_OPENED", ""))
    done = program.process("collect", "--config", config, LD_PRELOAD=library)
    assert (done.returncode, code(done)) == (0, 0)
    assert "set state_dir to a folder on a local disk" in done.stderr


def test_a_refusal_is_on_the_disk_before_the_next_request_may_go(
    server: Server, program: Program, config: str, tmp_path: Path, need: Callable[[str], str]
) -> None:
    """The operating system tells: after the refusal came in, the log was synced before anything was printed."""
    trace = tmp_path / "trace"
    calls = "trace=recvfrom,read,fdatasync,fsync,write"
    program.command = [need("strace"), "-f", "-y", "-qq", "-s", "200", "-e", calls, "-o", str(trace), *program.command]
    assert code(program.process("collect", "--config", config)) == 0
    calm = trace.read_text()
    assert code(program.process("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    lines = trace.read_text().splitlines()
    (refused,) = [
        i for i, line in enumerate(lines) if "HTTP/1.1 401" in line and ("recvfrom" in line or "read(" in line)
    ]
    (printed,) = [i for i, line in enumerate(lines) if "write(1" in line and "huawei_maas" in line]
    assert any("sync(" in line and f"{NAME}-wal" in line for line in lines[refused:printed])
    assert not any("sync(" in line and f"{NAME}-wal" in line for line in after_first_answer(calm)), "an ordinary send"


def after_first_answer(trace: str) -> List[str]:
    lines = trace.splitlines()
    first = next(
        i for i, line in enumerate(lines) if "HTTP/1.1 200" in line and ("recvfrom" in line or "read(" in line)
    )
    last = next(i for i, line in enumerate(lines) if "write(1" in line and "huawei_maas" in line)
    return lines[first:last]


def test_whoever_reads_a_file_while_it_is_replaced_finds_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    replace(str(path), contents[0], 0o644)
    stop = threading.Event()
    broken: List[Optional[int]] = []

    def read() -> None:
        while not stop.is_set():
            content = path.read_bytes()
            if content not in contents:
                broken.append(len(content))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(50):
        replace(str(path), contents[i % 2], 0o644)
    stop.set()
    reader.join()
    assert broken == []
