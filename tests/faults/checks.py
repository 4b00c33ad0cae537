"""Assertions about a row of the fault table that hold on every surface."""

from __future__ import annotations

import contextlib
import json
import select
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Dict, List

from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..program import AK, SK
from .faulty_cloud import FaultyCloud
from .table import Row

KEY_FILE = "key"


def set_up(row: Row, faulty_cloud: FaultyCloud, folder: Path, ak: str = AK) -> None:
    """Set up a row's credentials file and fault."""
    path = folder / KEY_FILE
    path.unlink(missing_ok=True)
    if row.key_file != "missing":
        path.write_text(f"{ak},{SK}" if row.key_file == "right" else "")
        path.chmod(0o600)
    faulty_cloud.emulator.secret_keys[ak] = SK
    faulty_cloud.fault = row.fault


def entry(row: Row, faulty_cloud: FaultyCloud, folder: Path) -> Dict[str, Any]:
    """Return an instance's configuration for a row.

    The label is empty, so that redaction changes no text of the cloud. The time-out is long unless the row hangs: a
    busy machine must not reach it.
    """
    return faulty_cloud.entry(
        credentials={"source": "file", "path": str(folder / KEY_FILE)},
        ranges=["last_1d", "last_7d"],
        timeout=1 if row.hangs else 30,
        deadline=600,
        tags=["n:1"],
        api_keys=[""],
        **({} if row.needs_lookup else {"project_id": PROJECT_ID}),
    )


def check_points(row: Row, lines: List[Dict[str, Any]]) -> None:
    *usage, api = lines
    assert [line["measurement"] for line in usage] == ["huawei_maas_usage"] * row.points
    assert all(("error_ratio" in line["fields"]) == bool(row.result) for line in usage)
    fields = api["fields"]
    assert (fields["up"], Result(fields["result_code"])) == (row.up, row.code)
    assert (fields["queries"], fields["failed_queries"]) == (2, 2 - row.points)


def check_requests(row: Row, requests: int) -> None:
    assert row.max_requests is None or requests <= row.max_requests, "a refusal was retried"


def check_line(row: Row, line: str) -> None:
    assert line.startswith(f"{row.level}! ")
    assert row.matches(line[3:]), f"{line}\nis not\n{row.line}"
    assert len(line.encode()) <= 512, "Telegraf truncates longer lines"


def run_cycle(process: subprocess.Popen[bytes]) -> List[Dict[str, Any]]:
    """Run one cycle of execd; return its points."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    lines: List[Dict[str, Any]] = []
    while not lines or lines[-1]["measurement"] != "huawei_maas_api":
        assert select.select([process.stdout], [], [], 50)[0], "execd wrote no batch"
        lines.append(parse_line(process.stdout.readline().decode().rstrip("\n")))
    return lines


def read_log_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr
    assert select.select([process.stderr], [], [], 50)[0], "execd logged nothing"
    return process.stderr.readline().decode().rstrip("\n")


def stored_requests(state: Path) -> int:
    """Return how many requests the state file counts for its only access key."""
    with contextlib.closing(sqlite3.connect(state)) as file:
        ((entry,),) = file.execute("SELECT value FROM entries WHERE kind = 'KeyEntry'").fetchall()
    return int(sum(json.loads(entry)["sent"].values()))
