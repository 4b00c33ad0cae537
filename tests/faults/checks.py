"""What holds of a row of the table on every surface."""

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
from .server import Scene
from .table import Row

KEY = "key"
"""The credentials file's name."""


def play(row: Row, scene: Scene, folder: Path, ak: str = AK) -> None:
    """Bring about what a row says: the credentials file and the cloud's fault."""
    path = folder / KEY
    path.unlink(missing_ok=True)
    if row.key != "missing":
        path.write_text(f"{ak},{SK}" if row.key == "right" else "")
        path.chmod(0o600)
    scene.emulator.keys[ak] = SK
    scene.fault = row.fault


def entry(row: Row, scene: Scene, folder: Path) -> Dict[str, Any]:
    """Configure an instance for a row, and a label that blanks nothing of what the cloud says.

    What does not hang must never meet the time-out of a busy machine.
    """
    return scene.entry(
        credentials={"source": "file", "path": str(folder / KEY)},
        ranges=["last_1d", "last_7d"],
        timeout=1 if row.hangs else 30,
        deadline=600,
        tags=["n:1"],
        api_keys=[""],
        **({} if row.looked_up else {"project_id": PROJECT_ID}),
    )


def check_points(row: Row, lines: List[Dict[str, Any]]) -> None:
    *usage, api = lines
    assert [line["measurement"] for line in usage] == ["huawei_maas_usage"] * row.points
    assert all(("error_ratio" in line["fields"]) == bool(row.result) for line in usage)
    fields = api["fields"]
    assert (fields["up"], Result(fields["result_code"])) == (row.up, row.code)
    assert (fields["queries"], fields["failed_queries"]) == (2, 2 - row.points)


def check_requests(row: Row, requests: int) -> None:
    assert row.most_requests is None or requests <= row.most_requests, "a refusal was tried again"


def check_line(row: Row, line: str) -> None:
    assert line.startswith(f"{row.level}! ")
    assert row.matches(line[3:]), f"{line}\nis not\n{row.line}"
    assert len(line.encode()) <= 512, "Telegraf cuts what is longer"


def ask(process: subprocess.Popen[bytes]) -> List[Dict[str, Any]]:
    """Have execd run a cycle; return its points."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    lines: List[Dict[str, Any]] = []
    while not lines or lines[-1]["measurement"] != "huawei_maas_api":
        assert select.select([process.stdout], [], [], 50)[0], "no batch came"
        lines.append(parse_line(process.stdout.readline().decode().rstrip("\n")))
    return lines


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr
    assert select.select([process.stderr], [], [], 50)[0], "nothing was said"
    return process.stderr.readline().decode().rstrip("\n")


def known_requests(state: Path) -> int:
    """Count the requests of the one key that the state knows of."""
    with contextlib.closing(sqlite3.connect(state)) as file:
        ((entry,),) = file.execute("SELECT value FROM entries WHERE kind = 'KeyEntry'").fetchall()
    return int(sum(json.loads(entry)["sent"].values()))
