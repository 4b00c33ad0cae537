"""What `report` takes from the ledger of hours, and what it asks the cloud instead."""

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
from .conftest import COUNTS, Report, boxes, cells, change, forget, names

HOUR = 3_600_000
NOON = int(MONDAY * 1000) // HOUR * HOUR
"""The beginning of the hour in which all this happens; hours are final up to 9:00."""
LAST_3_DAYS = ("--from", "2026-11-20", "--to", "2026-11-23")


@pytest.fixture
def report(report: Report, tmp_path: Path) -> Report:
    report.keys = f"hourly: true\nbackfill_days: 5\nmax_requests_per_minute: 80000\nstate_dir: {tmp_path}\n"
    return report


@pytest.fixture
def collected(report: Report) -> Report:
    """Report on an instance whose hours of the last 5 days are in the ledger."""
    report.collect()
    return report


def truth(cloud: Cloud, row: Dict[str, str]) -> List[int]:
    """Ask the emulator's own books about a row."""
    start, end = (int(dt.datetime.fromisoformat(row[name]).timestamp() * 1000) for name in ("start", "end"))
    use = cloud.emulator.usage.totals({"service_type": 2, "start_time": start, "end_time": end}, int(MONDAY * 1000))
    tokens = [use[name] for name in ("total_token", "total_prompt_token", "total_completion_token")]
    return [*(round(count * 1000) for count in tokens), use["total_request_count"], use["total_error_count"]]


def total_of(shown: str) -> str:
    return re.sub(" +", " ", shown.split("│ Total")[1])


def millions(rows: List[Dict[str, str]]) -> str:
    return f"{sum(int(row['total_tokens']) for row in rows) / 1e6:.2f} M"


@pytest.mark.parametrize(("size", "number", "asked"), [("--hourly", 97, 5), ("--daily", 5, 2)])
def test_ledger_replaces_queries(cloud: Cloud, collected: Report, size: str, number: int, asked: int) -> None:
    rows = collected.csv("--last", "4d", size)
    assert (len(rows), len(cloud.statistics())) == (number, asked)
    for row in rows:
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row)
        assert row["project_id"] == cloud.emulator.projects[1]["id"]
    assert [row["inferences"] for row in rows].count("") == number - asked  # the ledger has none
    same = collected.json("--last", "4d", size)
    assert [str(record["total_tokens"]) for record in same] == [row["total_tokens"] for row in rows]


def test_days_of_the_ledger_need_no_query(cloud: Cloud, collected: Report) -> None:
    done = collected(*LAST_3_DAYS, "--daily")
    assert (done.returncode, done.stderr, cloud.requests) == (0, "", [])
    assert names(done.stdout) == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert "-" not in cells(done.stdout, "│ Total  ")
    text = "72 of 72 hours are from the ledger of hours, last updated 2026-11-23 12:30."
    assert text in done.stdout.splitlines()


def test_many_days_by_the_hour_are_a_map(collected: Report) -> None:
    options = ("--last", "4d", "--hourly")
    done = collected(*options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "│ Day        │ 00    03    06    09    12    15    18    21     │" in done.stdout
    assert len(names(done.stdout)) == 5
    assert millions(collected.csv(*options)) in total_of(done.stdout)
    assert re.search(r"^Tokens an hour: · none, ░ to \d", done.stdout, re.MULTILINE)
    assert "\n92 of 96 hours are from the ledger" in done.stdout
    for columns, cell in ((80, "██"), (60, "█")):
        lines = boxes(collected.on_terminal(columns, *options), columns)
        assert any(f" {cell}" in line or f"▓{cell}" in line for line in lines)
    plain = collected(*options, PYTHONIOENCODING="cp1252").stdout
    assert plain.isascii()
    assert re.search(r"^Tokens an hour: [.] none, - to \d", plain, re.MULTILINE)


def test_failed_hour_of_a_map_is_no_zero(cloud: Cloud, collected: Report) -> None:
    cloud.responder = lambda request: Response(b'{"error_msg": "no"}', 400) if request.method == "POST" else None
    done = collected("--last", "3d", "--hourly")
    assert done.returncode == 0
    assert [line[:3] for line in done.stderr.splitlines()] == ["W! "]
    assert done.stdout.split("? not known")[0].count("??") == 5
    assert cells(done.stdout, "│ Total  ")[-1] == "-"


def test_several_service_types_are_one_map(cloud: Cloud, collected: Report) -> None:
    options = ("--service-type", "1", "2", "--hourly")
    done = collected(*options, "--last", "4d")
    assert "96 of its 96 hours would need a request each" in only_line(done, 2)
    assert cloud.requests == []
    assert collected(*options, "--last", "2d").returncode == 0
    kinds = [body["service_type"] for body in cloud.statistics()]
    assert (kinds.count(1), kinds.count(2)) == (49, 5)
    collected.keys += "service_types: [1, 2]"
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
    collected.keys = collected.keys.replace("hourly: true\n", "") + more if "hourly" in more else collected.keys + more
    line = only_line(collected("--last", "3d", "--hourly"), 2)
    start = "E! --hourly: the range is longer than 2 days (48 hours), and 72 of its 72 hours would need a request each"
    assert line.startswith(start)
    assert words in line
    assert "--daily" in line
    assert cloud.requests == []


def test_raw_shows_the_answers_of_all_hours_and_so_asks_for_them(cloud: Cloud, collected: Report) -> None:
    done = collected("--last", "4d", "--daily", "--raw")
    assert len(cloud.statistics()) == 5
    assert "from the ledger" not in done.stdout
    assert "leave out --raw" in only_line(collected("--last", "4d", "--hourly", "--raw"), 2)


@pytest.mark.parametrize("is_noise", [True, False])
def test_unusable_ledger(cloud: Cloud, collected: Report, tmp_path: Path, is_noise: bool) -> None:
    change(tmp_path, "DROP TABLE series")
    if is_noise:
        forget(tmp_path)
        (tmp_path / "maas-usage-check.sqlite3").write_text("no database " * 500)
    done = collected("--last", "3d", "--daily")
    assert done.returncode == 0
    assert len(cloud.statistics()) == 4
    assert "from the ledger" not in done.stdout
    assert "-" not in cells(done.stdout, "│ Total  ")
    last = collected("--last", "3d", "--hourly").stderr.splitlines()[-1]
    assert ("cannot read the state: damaged" in last) != is_noise  # with the file the project's id is lost


def test_hours_that_do_not_add_up(collected: Report, tmp_path: Path) -> None:
    """A report names that as the reason."""
    why = "the 24 hours of 2026-11-21 (UTC) have 2 total tokens, their day has 1"
    change(tmp_path, "UPDATE notes SET value = ? WHERE kind = 'AddUp'", json.dumps({"failed": why}))
    assert f"would need a request each: {why}; or choose" in only_line(collected("--last", "3d", "--hourly"), 2)


def test_another_key_without_a_known_project(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    cloud.emulator.keys["OTHERACCESSKEY000000"] = SK
    key = tmp_path / "other"
    key.write_text(f"OTHERACCESSKEY000000,{SK}")
    key.chmod(0o600)
    options = ("--last", "3d", "--daily")
    assert "from the ledger" not in collected(*options, "--credentials-file", str(key)).stdout
    assert len(cloud.statistics()) == 4
    assert collected(*options, HW_ACCESS_KEY=None).returncode == 1


def test_a_report_does_not_warn_of_hours_that_it_does_not_ask(program: Program, report: Report) -> None:
    report.keys = f"hourly: true\nproject_id: {'d3m0' * 8}\nmax_requests_per_minute: 5\nservice_types: [1, 2, 4]\n"
    report.keys += "min_collection_interval: 3600"
    said = program("collect", "--config", report.config()).stderr
    assert "12 calls are planned per cycle, but 5 a minute" in said
    assert "the hours of 3 series take 12 calls an hour" in said
    assert "calls an hour" not in report("--last", "1d").stderr


def test_an_hour_that_is_not_final_or_not_held_is_asked(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    change(tmp_path, "DELETE FROM hours WHERE start = ?", NOON - 20 * HOUR)
    change(tmp_path, "UPDATE hours SET settled = 0 WHERE start = ?", NOON - 22 * HOUR)
    assert collected("--last", "2d", "--hourly").returncode == 0
    asked = sorted((body["start_time"] - NOON) / HOUR for body in cloud.statistics())
    assert asked == [-47.5, -22, -20, -3, -2, -1, 0]


def test_label_with_calls_in_the_ledger_is_known(cloud: Cloud, report: Report) -> None:
    report.keys += "per_api_key: true\napi_keys: [team-search, typo]"
    report.collect()
    done = report(*LAST_3_DAYS, "--daily")
    assert (done.returncode, cloud.requests) == (0, [])
    assert re.findall("label (.*) had no call", done.stderr) == ["2 of 2 (typo)"]
    assert "API key: team-search" in done.stdout
    assert "216 of 216 hours are from the ledger" in done.stdout


def test_ledger_is_shown_while_the_key_is_refused(cloud: Cloud, collected: Report) -> None:
    cloud.emulator.keys[AK] = "another"
    done = collected("--last", "3d", "--daily")
    assert done.returncode == 0
    assert done.stderr.startswith("W! cn-southwest-2: the signature was refused")
    assert [cells(done.stdout, f"│ {day}")[0] == "-" for day in names(done.stdout)] == [True, False, False, True]
    assert cells(done.stdout, "│ Total  ")[0] == "-"
