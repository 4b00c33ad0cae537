"""Run `report` against the emulator, and parse its output."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import pytest

from maas_usage_check.emulator.simulated_usage import API_KEYS

from ..conftest import Cloud, Program

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo as ZoneInfo
else:
    from backports.zoneinfo import ZoneInfo as ZoneInfo

COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"]


class Report:
    """Runs `report` on one instance; `yaml` is its configuration besides the hosts."""

    def __init__(self, cloud: Cloud, program: Program) -> None:
        self.cloud = cloud
        self.program = program
        self.yaml = ""

    def __call__(self, *options: str, **environ: Any) -> Any:
        return self.program(*self.arguments(*options), **environ)

    def arguments(self, *options: str) -> List[str]:
        return ["report", "--config", self.config(), *options]

    def config(self) -> str:
        return self.program.cloud_config(self.cloud, self.yaml)

    def csv(self, *options: str) -> List[Dict[str, str]]:
        """Run a report that succeeds, and return its rows."""
        done = self(*options, "--format", "csv")
        assert done.returncode == 0, done.stderr
        return parse_csv(done.stdout)

    def json(self, *options: str) -> List[Dict[str, Any]]:
        """Run a report that succeeds, and return its rows."""
        rows: List[Dict[str, Any]] = self.document(*options)["rows"]
        return rows

    def document(self, *options: str) -> Dict[str, Any]:
        """Run a report that succeeds, and return its JSON."""
        done = self(*options, "--format", "json")
        assert done.returncode == 0, done.stderr
        document: Dict[str, Any] = json.loads(done.stdout)
        return document

    def collect(self, *options: str) -> None:
        """Fill the ledger, without a rate limit, and clear the recorded requests."""
        self.cloud.emulator.requests_per_minute = 10**6
        done = self.program("collect", "--config", self.config(), *options)
        assert done.returncode == 0, done.stderr
        self.cloud.requests.clear()

    def on_terminal(self, columns: int, *options: str) -> str:
        """Run a report on a terminal, and return its output without colors."""
        shown = self(*options, FORCE_COLOR="1", TERM="xterm", COLUMNS=str(columns)).stdout
        return without_colors(shown)


@pytest.fixture
def report(cloud: Cloud, program: Program) -> Report:
    return Report(cloud, program)


def true_usage(
    cloud: Cloud,
    start: Any,
    end: Any,
    service_types: Sequence[int] = (2,),
    labels: Sequence[str] = tuple(API_KEYS),
    infer_type: str = "real_time",
) -> List[int]:
    """Add up the simulated hours between two times (ISO 8601, or milliseconds) as the cloud reports them now."""
    first, last = (_milliseconds(each) for each in (start, end))
    usage, now = cloud.emulator.usage, int(cloud.emulator.now() * 1000)
    hours = [
        usage.hour(service_type, infer_type, list(labels), at, now)
        for service_type in service_types
        for at in range(first, last, 3_600_000)
    ]
    return [sum(each) for each in zip(*(hour[:5] for hour in hours))]


def counts(row: Mapping[str, Any]) -> List[int]:
    """Return the numbers of a row in the order of COUNTS."""
    return [int(row[name]) for name in COUNTS]


def _milliseconds(at: Any) -> int:
    return int(dt.datetime.fromisoformat(at).timestamp() * 1000) if isinstance(at, str) else int(at)


def parse_csv(text: str) -> List[Dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def first_column(output: str) -> List[str]:
    """List the first column of the tables, without the total of days and hours."""
    rows = [line.split("│")[1].strip() for line in output.splitlines() if line.startswith("│")]
    return rows[1:-1] if rows[0] in ("Day", "Hour") else rows


def row_cells(output: str, row: str) -> List[str]:
    (line,) = [line for line in output.splitlines() if row in line]
    return [cell.strip() for cell in line.split("│")[2:-1]]


def table_lines(shown: str, columns: int) -> List[str]:
    """List the lines of the tables; assert that they have the same length and fit."""
    lines = [line for line in shown.splitlines() if line.startswith(("╭", "│", "├", "╰"))]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= columns
    return lines


def without_colors(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def state_path(tmp_path: Path) -> str:
    (path,) = tmp_path.glob("*.sqlite3")
    return str(path)


def execute_sql(tmp_path: Path, statement: str, *values: Any) -> int:
    """Execute a statement on the state; return the number of changed rows, at least 1."""
    with closing(sqlite3.connect(state_path(tmp_path))) as connection, connection:
        rows = connection.execute(statement, values).rowcount
    assert rows
    return rows


def delete_state(tmp_path: Path) -> None:
    """Delete the state."""
    for path in tmp_path.glob("*.sqlite3*"):
        path.unlink()
