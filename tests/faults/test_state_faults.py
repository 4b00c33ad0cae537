"""What becomes of the state when disks, processes and files misbehave: no crash, no wrong value, no silent loss."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import resource
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.store.store import Document, FileState, KeyEntry
from maas_usage_check.surfaces.atomic_file import replace

from ..conftest import Program
from .server import Server


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
    return subprocess.run(
        [*program.command, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**program.environ, **environ},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
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
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, b"")
    document = json.loads((state / "state.json").read_bytes())
    assert len(document["keys"]) == 1
    assert sorted(path.name for path in state.iterdir()) == ["lock", "state.json"]
    sent = sum(next(iter(document["keys"].values()))["sent"].values())
    assert sent == len(server.requests)


def test_a_full_disk_is_a_warning_and_a_wait_that_is_on_it_still_holds(
    server: Server, program: Program, config: str, state: Path
) -> None:
    done = on_a_full_disk(program, "collect", "--config", config)
    assert (done.returncode, code(done)) == (0, 0)
    assert "cannot be written (File too large)" in done.stderr
    assert "waits after a refusal are forgotten" in done.stderr
    program("collect", "--config", config, HW_SECRET_KEY="wrong")
    before = len(server.requests)
    done = on_a_full_disk(program, "collect", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, code(done), len(server.requests)) == (1, 5, before)
    assert "W! state folder" in done.stderr
    assert [path.name for path in state.iterdir() if path.suffix == ".tmp"] == []


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
    (Path(config).parent / "state" / "state.json").write_bytes(b"noise")  # so that there is something to be said
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=full, env=program.environ, check=False, timeout=30
        )
        assert (done.returncode, done.stdout.count(b"\n")) == (0, 4)
    (Path(config).parent / "state" / "state.json").write_bytes(b"noise")
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
    assert done.stderr.startswith("W! state folder /sys/maas-usage-check cannot be written")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: os.urandom(len(content)),
        lambda content: b"\0" * len(content),
        lambda content: content.replace(b'"version":1', b'"version":2'),
        lambda content: content.replace(b'"refusals":1', b'"refusals":"many"'),
    ],
    ids=["cut short", "noise", "zeros", "a newer version", "another type"],
)
def test_a_lockout_that_a_spoilt_file_lost_is_not_lost_in_silence(
    program: Program, config: str, state: Path, spoil: Any
) -> None:
    assert code(program("collect", "--config", config, HW_SECRET_KEY="wrong")) == 3
    path = state / "state.json"
    path.write_bytes(spoil(path.read_bytes()))
    done = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    assert done.returncode == 1
    assert "a wait after a refusal may be lost" in done.stderr
    assert code(program("collect", "--config", config, HW_SECRET_KEY="wrong")) == 5


def test_a_lock_that_another_process_never_lets_go_of_holds_nothing_up_for_long(
    program: Program, config: str, state: Path
) -> None:
    state.mkdir()
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        done = program("collect", "--config", config)
        assert time.monotonic() - began < 5
    assert (done.returncode, code(done)) == (0, 0)
    assert "another process keeps it locked" in done.stderr


def write_for_ever(folder: str) -> None:
    def change(document: Document) -> None:
        entry = document.keys.setdefault("key", KeyEntry())
        entry.refusals += 1
        entry.why = "x" * 20_000

    state = FileState(folder, print)
    while True:
        state.update(change)


def test_a_kill_during_a_write_loses_nothing_and_leaves_nothing_behind(state: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    last = 0
    for i in range(15):
        process = context.Process(target=write_for_ever, args=(str(state),))
        process.start()
        while not (state / "state.json").exists():
            time.sleep(0.01)
        time.sleep(0.2 + 0.007 * i)
        process.kill()
        process.join()
        warnings: List[str] = []
        count = FileState(str(state), warnings.append).update(lambda document: None).keys["key"].refusals
        assert warnings == []
        assert count >= last
        last = count
    assert last > 100
    assert sorted(path.name for path in state.iterdir()) == ["lock", "state.json"]


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
    for i in range(150):
        replace(str(path), contents[i % 2], 0o644)
    stop.set()
    reader.join()
    assert broken == []
