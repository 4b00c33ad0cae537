"""The fault table on each surface; tests/cloud/test_faults.py runs each row in one collector."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID

from ..commands.exporter import running_exporter
from ..conftest import AK, Program, wait_for
from .checks import check_line, check_points, check_requests, entry, read_log_line, run_cycle, set_up
from .faulty_cloud import FaultyCloud, FaultyServer
from .table import ONE_PER_RESULT, TABLE, Row, row_ids

STATE = "maas-usage-check.sqlite3"
MAX_THREADS = 2
"""The main thread and the one that reads standard input: workers end with the cycle."""
each_result = pytest.mark.parametrize("row", ONE_PER_RESULT, ids=row_ids(ONE_PER_RESULT))


def configure(row: Row, faulty_cloud: FaultyCloud, program: Program, **keys: Any) -> str:
    return faulty_cloud.config(program, **{**entry(row, faulty_cloud, program.folder), **keys})


@each_result
def test_collect(row: Row, faulty_cloud: FaultyCloud, local_program: Program) -> None:
    set_up(row, faulty_cloud, local_program.folder)
    done = local_program("collect", "--config", configure(row, faulty_cloud, local_program))
    assert done.returncode == row.exit_code
    check_points(row, [parse_line(line) for line in done.stdout.splitlines()])
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(faulty_cloud.requests))


@each_result
def test_report(row: Row, faulty_cloud: FaultyCloud, local_program: Program) -> None:
    set_up(row, faulty_cloud, local_program.folder)
    config = configure(row, faulty_cloud, local_program)
    done = local_program("report", "--format", "json", "--service-type", "1", "2", "--config", config)
    assert done.returncode == row.exit_code
    records = json.loads(done.stdout)["rows"]
    assert [record["service_type"] for record in records] == ["my_service", "preset"]
    assert sum(record["total_tokens"] is not None for record in records) == row.points
    assert sum(record["error_ratio"] is not None for record in records) == (row.points if row.result else 0)
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(faulty_cloud.requests))


@each_result
def test_agent(row: Row, server: FaultyServer, agent: Callable[..., Any], aggregator: Any, tmp_path: Path) -> None:
    set_up(row, server, tmp_path)
    check = agent(entry(row, server, tmp_path))
    report = check.run()
    usage = aggregator.metrics("huawei_maas.usage.total_tokens")
    assert len(usage) == row.points
    assert len(aggregator.metrics("huawei_maas.usage.error_ratio")) == (row.points if row.result else 0)
    values = {name: [metric.value for metric in aggregator.metrics(f"huawei_maas.api.{name}")]
              for name in ("up", "result_code")}  # fmt: skip
    assert values == {"up": [row.up], "result_code": [row.code]}
    texts = [json.loads(report)[0]["message"]] if report else check.get_warnings()
    assert bool(report) == (not row.up)
    assert row.matches(texts[0]), f"{texts[0]}\nis not\n{row.line}"
    check_requests(row, len(server.requests))


def test_agent_without_connection(agent: Callable[..., Any]) -> None:
    """A refused connection is one line that names the address."""
    report = agent({"endpoint": "http://127.0.0.1:1", "project_id": PROJECT_ID}).run()
    assert "127.0.0.1:1: no connection (Connection refused): check network, firewall and proxy" in report


@pytest.mark.timeout(240)
def test_serve(server: FaultyServer, program: Program) -> None:
    """One exporter runs a row per result; SIGHUP starts each cycle."""
    healthy = ONE_PER_RESULT[0].without_fault()
    set_up(healthy, server, program.folder)
    with running_exporter(program, configure(healthy, server, program)) as exporter:
        exporter.wait_until_ready()
        for i, row in enumerate(ONE_PER_RESULT):
            set_up(row, server, program.folder, f"{AK}{i}")
            configure(row, server, program)
            before = len(exporter.problems)
            exporter.process.send_signal(signal.SIGHUP)
            code = partial(exporter.samples, "huawei_maas_api_result_code")
            wait_for(lambda code=code, row=row: code() == {"cn-southwest-2": row.code}, f"the cycle of {row.title}", 60)
            assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": row.up}
            assert len(exporter.samples("huawei_maas_usage_total_tokens")) == row.points

            def is_logged(row: Row = row, before: int = before) -> bool:
                return any(row.matches(line[3:]) and line[0] == row.level for line in exporter.problems[before:])

            wait_for(is_logged, row.line)


GROUPS = sorted({(row.needs_lookup, row.hangs) for row in TABLE})
"""Rows of one group share a configuration, and so a process."""


@pytest.fixture
def daemon(program: Program, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Return a function that starts execd with no pauses between retries."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import random\nrandom.uniform = lambda low, high: 0.0\n")
    started = []

    def start(config: str) -> Any:
        started.append(program.start("execd", "--config", config, PYTHONPATH=str(site)))
        return started[0]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("group", GROUPS)
def test_execd(
    group: Any, server: FaultyServer, program: Program, daemon: Callable[[str], Any], tmp_path: Path
) -> None:
    """One daemon runs all rows of a group; then it has no more files, locks or threads than before.

    Each row has an access key of its own, because waits belong to a key.
    """
    rows = [row for row in TABLE if (row.needs_lookup, row.hangs) == group]
    process = daemon(configure(rows[0], server, program, state_dir=str(tmp_path / "shared")))
    server.emulator.requests_per_minute = 100_000
    healthy = rows[0].without_fault()

    def open_files() -> List[str]:
        set_up(healthy, server, program.folder)
        assert run_cycle(process)[-1]["fields"]["result_code"] == 0
        return files(process.pid)

    before = [name for name in open_files() if not name.startswith("socket:")]
    wrong: List[str] = []
    for i, row in enumerate(rows):
        try:
            set_up(row, server, program.folder, f"{AK}{i}")
            requests = len(server.requests)
            check_points(row, run_cycle(process))
            check_line(row, read_log_line(process))
            check_requests(row, len(server.requests) - requests)
            set_up(healthy, server, program.folder, f"{AK}{i}again")
            assert run_cycle(process)[-1]["fields"]["result_code"] == 0
            assert read_log_line(process).endswith(": recovered")
        except AssertionError as error:
            wrong.append(f"{row.title}, {row.variant}: {error}")
    assert not wrong, "\n".join(wrong)
    check_locks_free(tmp_path / "shared")
    # The pool keeps an unused connection until a later cycle uses it; a leaked one stays.
    wait_for(lambda: open_files() == before, "every file and connection of a fault to be closed")
    wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == MAX_THREADS, "the threads of faults to end")


def files(pid: int) -> List[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(path))
    return sorted(found)


def check_locks_free(state: Path) -> None:
    """Acquire the locks that the daemon uses in a cycle; fail at once if it still holds one."""
    with contextlib.closing(sqlite3.connect(state / STATE, timeout=0, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
    with open(state / f"{STATE}-lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
