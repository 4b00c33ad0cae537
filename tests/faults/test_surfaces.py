"""The table of faults on each surface; every row where it is classified is tests/cloud/test_faults.py."""

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
from maas_usage_check.scheduling.threads import MOST_IDLE

from ..commands.exporter import running_exporter
from ..conftest import AK, Program, wait_for
from .checks import ask, check_line, check_points, check_requests, entry, play, said
from .server import Scene, Server
from .table import FIRST, TABLE, Row, names

STATE = "maas-usage-check.sqlite3"
MOST_THREADS = 2 + MOST_IDLE
"""The main one, the one that listens, and those that wait for work."""
each_result = pytest.mark.parametrize("row", FIRST, ids=names(FIRST))


def configure(row: Row, scene: Scene, program: Program, **keys: Any) -> str:
    return scene.config(program, **{**entry(row, scene, program.folder), **keys})


@each_result
def test_collect(row: Row, scene: Scene, played: Program) -> None:
    play(row, scene, played.folder)
    done = played("collect", "--config", configure(row, scene, played))
    assert done.returncode == row.exit_code
    check_points(row, [parse_line(line) for line in done.stdout.splitlines()])
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(scene.requests))


@each_result
def test_report(row: Row, scene: Scene, played: Program) -> None:
    play(row, scene, played.folder)
    done = played("report", "--format", "json", "--config", configure(row, scene, played))
    assert done.returncode == row.exit_code
    records = json.loads(done.stdout)
    assert [record["range"] for record in records] == ["last_1d", "last_7d"]
    assert sum(record["total_tokens"] is not None for record in records) == row.points
    assert sum(record["error_ratio"] is not None for record in records) == (row.points if row.result else 0)
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(scene.requests))


@each_result
def test_agent(row: Row, server: Server, agent: Callable[..., Any], aggregator: Any, tmp_path: Path) -> None:
    play(row, server, tmp_path)
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


def test_agent_where_nobody_listens(agent: Callable[..., Any]) -> None:
    report = agent({"endpoint": "http://127.0.0.1:1", "project_id": PROJECT_ID}).run()
    assert "127.0.0.1:1: no connection (Connection refused): check network, firewall and proxy" in report


@pytest.mark.timeout(240)
def test_serve(server: Server, program: Program) -> None:
    """One exporter lives through a row per result; SIGHUP starts the cycle of the next."""
    healthy = FIRST[0].cured()
    play(healthy, server, program.folder)
    with running_exporter(program, configure(healthy, server, program)) as exporter:
        exporter.wait_until_ready()
        for i, row in enumerate(FIRST):
            play(row, server, program.folder, f"{AK}{i}")
            configure(row, server, program)
            before = len(exporter.problems)
            exporter.process.send_signal(signal.SIGHUP)
            code = partial(exporter.samples, "huawei_maas_api_result_code")
            wait_for(lambda code=code, row=row: code() == {"cn-southwest-2": row.code}, f"the cycle of {row.title}", 60)
            assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": row.up}
            assert len(exporter.samples("huawei_maas_usage_total_tokens")) == row.points

            def is_said(row: Row = row, before: int = before) -> bool:
                return any(row.matches(line[3:]) and line[0] == row.level for line in exporter.problems[before:])

            wait_for(is_said, row.line)


GROUPS = sorted({(row.looked_up, row.hangs) for row in TABLE})
"""What the configuration of a process must fit."""


@pytest.fixture
def daemon(program: Program, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Start execd, with no pause between tries."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import time\ntime.sleep = lambda seconds: None\n")
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
def test_execd(group: Any, server: Server, program: Program, daemon: Callable[[str], Any], tmp_path: Path) -> None:
    """One daemon lives through all of them, and holds no file, lock or thread afterwards that it held not before.

    Each comes with a key of its own, for waits belong to a key.
    """
    rows = [row for row in TABLE if (row.looked_up, row.hangs) == group]
    process = daemon(configure(rows[0], server, program, state_dir=str(tmp_path / "kept")))
    server.emulator.requests_per_minute = 100_000
    healthy = rows[0].cured()

    def left() -> List[str]:
        play(healthy, server, program.folder)
        assert ask(process)[-1]["fields"]["result_code"] == 0
        return files(process.pid)

    before = [name for name in left() if not name.startswith("socket:")]
    wrong: List[str] = []
    for i, row in enumerate(rows):
        try:
            play(row, server, program.folder, f"{AK}{i}")
            requests = len(server.requests)
            check_points(row, ask(process))
            check_line(row, said(process))
            check_requests(row, len(server.requests) - requests)
            play(healthy, server, program.folder, f"{AK}{i}again")
            assert ask(process)[-1]["fields"]["result_code"] == 0
            assert said(process).endswith(": recovered")
        except AssertionError as error:
            wrong.append(f"{row.title}, {row.variant}: {error}")
    assert not wrong, "\n".join(wrong)
    check_free(tmp_path / "kept")
    # A connection that was made in time and not needed is kept until a later cycle uses it; one that leaked stays.
    wait_for(lambda: left() == before, "every file and connection of a fault to be closed")
    wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) <= MOST_THREADS, "the threads of faults to end")


def files(pid: int) -> List[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.append(os.readlink(path))
    return sorted(found)


def check_free(state: Path) -> None:
    """Take the locks that the daemon would hold in a cycle; each fails at once where it still does."""
    with contextlib.closing(sqlite3.connect(state / STATE, timeout=0, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
    with open(state / f"{STATE}-lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
