"""Every fault of the table in turn leaves a daemon as it was: no file, no lock and no thread more but idle ones."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sqlite3
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.cycle.threads import MOST_IDLE

from ..conftest import AK, SK, Program, wait_for
from .server import Server
from .table import TABLE, Row, lookup, where
from .test_matrix import ask, prepare, put_key

CYCLES = max(200, len(TABLE))
MOST_THREADS = 2 + MOST_IDLE
"""The main one, the one that listens, and those that wait for work."""
NAME = "maas-usage-check.sqlite3"


def files(pid: int) -> List[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.append(os.readlink(path))
    return sorted(found)


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def asked_after_the_lookup(row: Row) -> Row:
    """Let the project be found, where the fault is not of the look-up."""
    if row.looked_up or row.fault is None:
        return row
    return row._replace(fault=where(lambda exchange: not lookup(exchange), row.fault))


@pytest.mark.timeout(180)
def test_two_hundred_cycles_of_every_fault_leave_nothing_that_a_healthy_cycle_would_not(
    server: Server, program: Program, tmp_path: Path
) -> None:
    state = tmp_path / "kept"
    config = program.config(
        f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n    state_dir: {state}\n"
        f"    credentials: {{source: file, path: {program.folder / 'key'}}}\n"
        "    ranges: [last_1d, last_7d]\n    timeout: 0.5\n    deadline: 2\n    tags: [n:1]\n"
    )
    server.emulator.requests_per_minute = 100_000
    process = program.start("execd", "--config", config)
    try:

        def healthy() -> None:
            server.restore()
            put_key(TABLE[-1], program.folder / "key")
            assert ask(process, 2)[-1]["fields"]["result_code"] == 0
            wait_for(lambda: threads(process.pid) <= MOST_THREADS, "the cycle's threads to end")

        def left() -> List[str]:
            healthy()
            return files(process.pid)

        healthy()
        before = [name for name in files(process.pid) if not name.startswith("socket:")]
        for i, row in enumerate(itertools.islice(itertools.cycle(TABLE), CYCLES)):
            server.emulator.keys[f"{AK}{i}"] = SK  # a key of its own, for waits belong to a key
            put_key(row, program.folder / "key", f"{AK}{i}")
            prepare(asked_after_the_lookup(row), server)
            assert ask(process, row.points)[-1]["fields"]["up"] == row.up
        wait_for(lambda: threads(process.pid) <= MOST_THREADS, "the faults' threads to end")
        check_free(state)
        # A connection that was made in time and not needed is kept until a later cycle uses it; one that leaked stays.
        wait_for(lambda: left() == before, "every file and connection of a fault to be closed")
    finally:
        process.kill()
        process.communicate()


def check_free(state: Path) -> None:
    """Take the locks that the daemon would hold in a cycle; each fails at once where it still does."""
    with contextlib.closing(sqlite3.connect(state / NAME, timeout=0, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
    with open(state / f"{NAME}-lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
