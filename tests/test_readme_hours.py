"""What docs/hours.md says of the hours: which format gives what, and what is said when they are wrong or missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest
from line_protocol_parser import parse_line
from werkzeug import Request, Response

from .conftest import Cloud, Program

PAGE = (Path(__file__).parent.parent / "docs" / "hours.md").read_text(encoding="utf-8")
ROWS: Dict[str, List[str]] = {
    cells[0]: cells
    for cells in ([cell.strip() for cell in row.split("|")[1:-1]] for row in PAGE.splitlines() if row.startswith("|"))
}
HOUR = 3_600_000
HOURLY = "ranges: [last_7d]\nhourly: true\nbackfill_days: 3\nmax_requests_per_minute: 6000\n"


def named(row: str) -> Set[str]:
    """List the measurements and counters that a row of the table of surfaces names."""
    return set(re.findall(r"`(huawei_maas_[a-z_]+)`", ROWS[row][1]))


def answered(row: str) -> re.Pattern[str]:
    """Make the line that a row of the table of troubles shows; … stands for anything."""
    (line,) = [shown for shown in ROWS if row in shown]
    return re.compile("W! cn-southwest-2: " + ".+".join(map(re.escape, line.strip("`").split("…"))))


def asks_an_hour(request: Request) -> bool:
    asked = json.loads(request.get_data() or b"{}")
    return bool(asked) and asked["end_time"] - asked["start_time"] < HOUR


@pytest.fixture
def busy(cloud: Cloud) -> Cloud:
    cloud.emulator.requests_per_minute = 100_000
    return cloud


@pytest.mark.parametrize(
    ("form", "row"), [("influx", "Telegraf, JSON"), ("json", "Telegraf, JSON"), ("prometheus", "Prometheus")]
)
def test_each_format_gives_what_the_table_says_and_nothing_of_the_others(
    busy: Cloud, program: Program, form: str, row: str
) -> None:
    config = program.for_cloud(busy, f"{HOURLY}api_keys: [team-search]\nper_api_key: true\n")
    done = program("collect", "--config", config, "--format", form)
    assert done.returncode == 0
    everything = named("Telegraf, JSON") | named("Prometheus")
    assert named(row)
    assert {name for name in everything if name in re.findall(r"huawei_maas_\w+", done.stdout)} == named(row)


def test_hours_that_do_not_add_up_are_said_as_the_table_says(busy: Cloud, program: Program) -> None:
    def count_the_next_hour_too(request: Request) -> Any:
        if not asks_an_hour(request):
            return None
        asked = json.loads(request.get_data())
        wider = {**asked, "end_time": asked["end_time"] + HOUR}
        return Response(json.dumps(busy.emulator.ledger.totals(wider, int(busy.emulator.now() * 1000))))

    busy.always = count_the_next_hour_too
    config = program.for_cloud(busy, HOURLY)
    runs = [program("collect", "--config", config) for _ in range(3)]
    assert answered("their day has").fullmatch(runs[-1].stderr.strip())
    assert "huawei_maas_hourly" not in runs[-1].stdout


def test_a_state_that_cannot_be_written_is_said_as_the_table_says(busy: Cloud, program: Program) -> None:
    folder = program.folder / "kept"
    folder.mkdir()
    (folder / "maas-usage-check.sqlite3").write_text("not a database, but long enough to be taken for one" * 100)
    done = program("collect", "--config", program.for_cloud(busy, f"{HOURLY}state_dir: {folder}\n"))
    first, *others = done.stderr.splitlines()
    assert answered("the state cannot be written").fullmatch(first)
    assert [line for line in others if str(folder) in line]
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["huawei_maas_usage", "huawei_maas_api"]


def test_missing_hours_does_not_fall_while_questions_fail_and_failed_queries_says_so(
    busy: Cloud, program: Program
) -> None:
    assert "`failed_queries`" in ROWS["`missing_hours` does not fall"][1]
    busy.always = lambda request: Response("<html>", 200) if asks_an_hour(request) else None
    config = program.for_cloud(busy, HOURLY)

    def health() -> Dict[str, Any]:
        fields: Dict[str, Any] = parse_line(program("collect", "--config", config).stdout.splitlines()[-1])["fields"]
        return fields

    one, other = health(), health()
    assert other["missing_hours"] >= one["missing_hours"] > 0
    assert min(one["failed_queries"], other["failed_queries"]) > 0
    busy.always = None
    assert health()["missing_hours"] == 0
