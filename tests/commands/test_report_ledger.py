"""Hours that `report` reads from the ledger, and hours that it queries."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Dict, List

import pytest
from werkzeug import Response

from ..conftest import AK, SK, Cloud, Program
from ..fixed_clock import MONDAY
from ..program import only_line
from .conftest import COUNTS, Report, delete_state, execute_sql, first_column, row_cells, table_lines

HOUR = 3_600_000
NOON = int(MONDAY * 1000) // HOUR * HOUR
"""The beginning of the current hour; hours are final up to 9:00."""
LAST_3_DAYS = ("--from", "2026-11-20", "--to", "2026-11-23")


@pytest.fixture
def report(report: Report, tmp_path: Path) -> Report:
    report.yaml = f"hourly: true\nbackfill_days: 5\nmax_requests_per_minute: 80000\nstate_dir: {tmp_path}\n"
    return report


@pytest.fixture
def collected(report: Report) -> Report:
    """Report with the hours of the last 5 days in the ledger."""
    report.collect()
    return report


def truth(cloud: Cloud, row: Dict[str, str]) -> List[int]:
    """Add up the simulated usage of a row's period."""
    start, end = (int(dt.datetime.fromisoformat(row[name]).timestamp() * 1000) for name in ("start", "end"))
    usage = cloud.emulator.usage.totals({"service_type": 2, "start_time": start, "end_time": end}, int(MONDAY * 1000))
    tokens = [usage[name] for name in ("total_token", "total_prompt_token", "total_completion_token")]
    return [*(round(count * 1000) for count in tokens), usage["total_request_count"], usage["total_error_count"]]


def total_of(shown: str) -> str:
    return re.sub(" +", " ", shown.split("│ Total")[1])


def millions(rows: List[Dict[str, str]]) -> str:
    return f"{sum(int(row['total_tokens']) for row in rows) / 1e6:.2f} M"


@pytest.mark.parametrize(("size", "number", "queries"), [("--hourly", 97, 5), ("--daily", 5, 2)])
def test_ledger_replaces_queries(cloud: Cloud, collected: Report, size: str, number: int, queries: int) -> None:
    rows = collected.csv("--last", "4d", size)
    assert (len(rows), len(cloud.statistics())) == (number, queries)
    for row in rows:
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row)
        assert row["project_id"] == cloud.emulator.projects[1]["id"]
    assert [row["inferences"] for row in rows].count("") == number - queries  # the ledger has no inferences
    same = collected.json("--last", "4d", size)
    assert [str(record["total_tokens"]) for record in same] == [row["total_tokens"] for row in rows]


def test_days_from_ledger(cloud: Cloud, collected: Report) -> None:
    done = collected(*LAST_3_DAYS, "--daily")
    assert (done.returncode, done.stderr, cloud.requests) == (0, "", [])
    assert first_column(done.stdout) == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert "-" not in row_cells(done.stdout, "│ Total  ")
    text = "72 of 72 hours are from the ledger of hours, last updated 2026-11-23 12:30."
    assert text in done.stdout.splitlines()


def test_heat_map(collected: Report) -> None:
    """The hours of more than two days are a heat map."""
    options = ("--last", "4d", "--hourly")
    done = collected(*options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "│ Day        │ 00    03    06    09    12    15    18    21     │" in done.stdout
    assert len(first_column(done.stdout)) == 5
    assert millions(collected.csv(*options)) in total_of(done.stdout)
    assert re.search(r"^Tokens an hour: · none, ░ to \d", done.stdout, re.MULTILINE)
    assert "\n92 of 96 hours are from the ledger" in done.stdout
    for columns, cell in ((80, "██"), (60, "█")):
        lines = table_lines(collected.on_terminal(columns, *options), columns)
        assert any(f" {cell}" in line or f"▓{cell}" in line for line in lines)
    plain = collected(*options, PYTHONIOENCODING="cp1252").stdout
    assert plain.isascii()
    assert re.search(r"^Tokens an hour: [.] none, - to \d", plain, re.MULTILINE)


def test_failed_hour(cloud: Cloud, collected: Report) -> None:
    """A failed hour of a map is not a zero."""
    cloud.responder = lambda request: Response(b'{"error_msg": "no"}', 400) if request.method == "POST" else None
    done = collected("--last", "3d", "--hourly")
    assert done.returncode == 0
    assert [line[:3] for line in done.stderr.splitlines()] == ["W! "]
    assert done.stdout.split("? not known")[0].count("??") == 5
    assert row_cells(done.stdout, "│ Total  ")[-1] == "-"


def test_several_service_types(cloud: Cloud, collected: Report) -> None:
    """Several service types are added up in one map."""
    options = ("--service-type", "1", "2", "--hourly")
    done = collected(*options, "--last", "4d")
    assert "96 of its 96 hours would need a request each" in only_line(done, 2)
    assert cloud.requests == []
    assert collected(*options, "--last", "2d").returncode == 0
    kinds = [body["service_type"] for body in cloud.statistics()]
    assert (kinds.count(1), kinds.count(2)) == (49, 5)
    collected.yaml += "service_types: [1, 2]"
    collected.collect()
    both = collected(*options, "--last", "4d")
    assert (both.returncode, both.stdout.count("╭")) == (0, 1)
    assert millions(collected.csv(*options, "--last", "4d")) in total_of(both.stdout)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "timezone: Asia/Kathmandu",
            "its hours begin 15 minutes past the UTC hours, and the ledger has UTC hours only",
        ),
        (
            "ips: ['10.0.0.1']",
            "the ledger does not have them yet (`missing_hours` counts them), or the agent",
        ),
        ("hourly: false\nips: ['10.0.0.1']", "set `hourly: true` in the --config file, and collect them first"),
    ],
)
def test_too_many_hours(cloud: Cloud, collected: Report, more: str, words: str) -> None:
    collected.yaml = collected.yaml.replace("hourly: true\n", "") + more if "hourly" in more else collected.yaml + more
    line = only_line(collected("--last", "3d", "--hourly"), 2)
    start = "E! --hourly: the range is longer than 2 days (48 hours), and 72 of its 72 hours would need a request each"
    assert line.startswith(start)
    assert words in line
    assert "--daily" in line
    assert cloud.requests == []


def test_raw_queries_all_hours(cloud: Cloud, collected: Report) -> None:
    """--raw shows the response of every hour, so it queries every hour."""
    done = collected("--last", "4d", "--daily", "--raw")
    assert len(cloud.statistics()) == 5
    assert "from the ledger" not in done.stdout
    assert "leave out --raw" in only_line(collected("--last", "4d", "--hourly", "--raw"), 2)


@pytest.mark.parametrize("is_noise", [True, False])
def test_unusable_ledger(cloud: Cloud, collected: Report, tmp_path: Path, is_noise: bool) -> None:
    execute_sql(tmp_path, "DROP TABLE series")
    if is_noise:
        delete_state(tmp_path)
        (tmp_path / "maas-usage-check.sqlite3").write_text("no database " * 500)
    done = collected("--last", "3d", "--daily")
    assert done.returncode == 0
    assert len(cloud.statistics()) == 4
    assert "from the ledger" not in done.stdout
    assert "-" not in row_cells(done.stdout, "│ Total  ")
    last = collected("--last", "3d", "--hourly").stderr.splitlines()[-1]
    assert ("cannot read the state: damaged" in last) != is_noise  # the project id is lost with the file


def test_hours_that_do_not_add_up(collected: Report, tmp_path: Path) -> None:
    """The error names the hours that do not add up as the reason."""
    reason = "the 24 hours of 2026-11-21 (UTC) have 2 total tokens, their day has 1"
    execute_sql(tmp_path, "UPDATE entries SET value = ? WHERE kind = 'AddUp'", json.dumps({"failed": reason}))
    assert f"would need a request each: {reason}; or choose" in only_line(collected("--last", "3d", "--hourly"), 2)


def test_unknown_project(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    cloud.emulator.secret_keys["OTHERACCESSKEY000000"] = SK
    key = tmp_path / "other"
    key.write_text(f"OTHERACCESSKEY000000,{SK}")
    key.chmod(0o600)
    options = ("--last", "3d", "--daily")
    assert "from the ledger" not in collected(*options, "--credentials-file", str(key)).stdout
    assert len(cloud.statistics()) == 4
    assert collected(*options, HW_ACCESS_KEY=None).returncode == 1


def test_no_warning_of_hourly_requests(program: Program, report: Report) -> None:
    """A report does not warn of hourly requests that only `collect` sends."""
    report.yaml = f"hourly: true\nproject_id: {'d3m0' * 8}\nmax_requests_per_minute: 5\nservice_types: [1, 2, 4]\n"
    report.yaml += "min_collection_interval: 3600"
    stderr = program("collect", "--config", report.config()).stderr
    assert "12 requests are planned per cycle, but max_requests_per_minute (5) allows 5" in stderr
    assert "the hours of 3 series take 12 requests an hour" in stderr
    assert "requests an hour" not in report("--last", "1d").stderr


def test_queried_hours(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    """Hours that are not final or not in the ledger are queried."""
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", NOON - 20 * HOUR)
    execute_sql(tmp_path, "UPDATE hours SET settled = 0 WHERE start = ?", NOON - 22 * HOUR)
    assert collected("--last", "2d", "--hourly").returncode == 0
    hours = sorted((body["start_time"] - NOON) / HOUR for body in cloud.statistics())
    assert hours == [-47.5, -22, -20, -3, -2, -1, 0]


def test_label_in_ledger(cloud: Cloud, report: Report) -> None:
    """A label with calls in the ledger is known."""
    report.yaml += "per_api_key: true\napi_keys: [team-search, typo]"
    report.collect()
    done = report(*LAST_3_DAYS, "--daily")
    assert (done.returncode, cloud.requests) == (0, [])
    assert re.findall("label (.*) had no call", done.stderr) == ["2 of 2 (typo)"]
    assert "API key: team-search" in done.stdout
    assert "216 of 216 hours are from the ledger" in done.stdout


def test_ledger_with_refused_key(cloud: Cloud, collected: Report) -> None:
    """The hours of the ledger are shown while the access key is refused."""
    cloud.emulator.secret_keys[AK] = "another"
    done = collected("--last", "3d", "--daily")
    assert done.returncode == 0
    assert done.stderr.startswith("W! cn-southwest-2: the signature was refused")
    assert [row_cells(done.stdout, f"│ {day}")[0] == "-" for day in first_column(done.stdout)] == [
        True,
        False,
        False,
        True,
    ]
    assert row_cells(done.stdout, "│ Total  ")[0] == "-"
