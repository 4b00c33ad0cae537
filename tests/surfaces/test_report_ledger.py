"""What `report` takes from the ledger of hours, and what it asks the cloud instead."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from werkzeug import Response

from ..conftest import AK, SK, Cloud, Program
from .test_report import COUNTS, cells, names, on_a_terminal


HOUR = 3_600_000
DAY = 24 * HOUR
UNLIMITED = 10**6


@pytest.fixture
def config(cloud: Cloud, program: Program, tmp_path: Path) -> str:
    """Write an instance whose hours of the last 5 days are in the ledger: collected once."""
    cloud.emulator.requests_per_minute = UNLIMITED
    path = written(cloud, program, tmp_path)
    done = program("collect", "--config", path)
    assert done.returncode == 0, done.stderr
    assert [line[:2] for line in done.stderr.splitlines()] == ["I!"]  # the history begins
    assert "missing_hours=0i" in done.stdout
    cloud.seen.clear()
    return path


AHEAD = 12 - dt.datetime.now(dt.timezone.utc).hour
NOON = f"Etc/GMT{-AHEAD:+d}"
"""Where it is noon now, so that all of yesterday is final; these names have the sign the other way round."""


def written(cloud: Cloud, program: Program, tmp_path: Path, zone: str = NOON, more: str = "") -> str:
    keys = f"hourly: true\nbackfill_days: 5\nmax_requests_per_minute: 80000\ntimezone: {zone}\nstate_dir: {tmp_path}\n"
    return program.for_cloud(cloud, keys + more)


def state(tmp_path: Path) -> str:
    (path,) = tmp_path.glob("*.sqlite3")
    return str(path)


def history(tmp_path: Path) -> List[str]:
    """Write out all tables of the history."""
    with sqlite3.connect(state(tmp_path)) as connection:
        lines = list(connection.iterdump())
    return [line for line in lines if "entries" not in line]


def change(tmp_path: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(state(tmp_path)) as connection:
        assert connection.execute(statement, values).rowcount


def truth(cloud: Cloud, row: Dict[str, str], **filters: Any) -> List[int]:
    """Ask the emulator's own books about a row."""
    start, end = (int(dt.datetime.fromisoformat(row[name]).timestamp() * 1000) for name in ("start", "end"))
    asked = {"service_type": 2, "start_time": start, "end_time": end, **filters}
    use = cloud.emulator.ledger.totals(asked, int(time.time() * 1000))
    tokens = [use[name] for name in ("total_token", "total_prompt_token", "total_completion_token")]
    return [*(round(count * 1000) for count in tokens), use["total_request_count"], use["total_error_count"]]


def table(text: str) -> List[Dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("size", ["--hourly", "--daily"])
def test_what_the_ledger_holds_is_not_asked_and_is_what_the_cloud_would_say(
    cloud: Cloud, program: Program, config: str, size: str
) -> None:
    done = program("report", "--config", config, "--last", "4d", size, "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = table(done.stdout)
    assert len(rows) in ((97, 96) if size == "--hourly" else (5,))
    assert len(cloud.statistics()) in ((5, 6) if size == "--hourly" else (2,))
    now = time.time()
    for row in rows:
        if dt.datetime.fromisoformat(row["end"]).timestamp() < now - 3 * 3600:
            assert [int(row[name]) for name in COUNTS] == truth(cloud, row)
        assert row["project_id"] == cloud.emulator.projects[1]["id"]
    held = [row for row in rows if not row["inferences"]]
    assert len(held) == len(rows) - len(cloud.statistics())
    same = json.loads(program("report", "--config", config, "--last", "4d", size, "--format", "json").stdout)
    assert [str(record["total_tokens"]) for record in same[1:3]] == [row["total_tokens"] for row in rows[1:3]]


def test_a_report_of_nothing_but_held_days_asks_nothing_and_says_where_its_numbers_are_from(
    cloud: Cloud, program: Program, config: str
) -> None:
    last = dt.datetime.now(dt.timezone(dt.timedelta(hours=AHEAD))).date() - dt.timedelta(days=1)
    span = ("--from", str(last - dt.timedelta(days=2)), "--to", str(last), "--daily")
    done = program("report", "--config", config, *span)
    assert (done.returncode, done.stderr, cloud.seen) == (0, "", [])
    assert names(done.stdout) == [str(last - dt.timedelta(days=days)) for days in (2, 1)]
    assert "-" not in cells(done.stdout, "│ Total  ")
    (line,) = re.findall("^48 of 48 hours are from the ledger .* by (.*)[.]$", done.stdout, re.MULTILINE)
    here = dt.timezone(dt.timedelta(hours=AHEAD))
    told = dt.datetime.fromisoformat(line).replace(tzinfo=here).timestamp()
    assert -120 < told - time.time() <= 0


def test_a_report_leaves_the_ledger_as_it_is_and_takes_nothing_from_a_consumer(
    cloud: Cloud, program: Program, config: str, tmp_path: Path
) -> None:
    before = history(tmp_path)
    for more in ([], ["--service-type", "1", "2"], ["--infer-type", "batch", "--format", "csv"], ["--api-keys", "a"]):
        assert program("report", "--config", config, "--last", "2d", "--daily", *more).returncode == 0
    assert history(tmp_path) == before


def test_many_days_by_the_hour_are_a_map(cloud: Cloud, program: Program, config: str) -> None:
    arguments = ("report", "--config", config, "--last", "4d", "--hourly")
    done = program(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "│ Day        │ 00    03    06    09    12    15    18    21     │" in done.stdout
    assert len(names(done.stdout)) == 5
    rows = table(program(*arguments, "--format", "csv").stdout)
    total = sum(int(row["total_tokens"]) for row in rows)
    assert f"{total / 1e6:.2f} M" in re.sub(" +", " ", done.stdout.split("│ Total")[1])
    assert re.search(r"^Tokens an hour: · none, ░ to \d", done.stdout, re.MULTILINE)
    assert re.search(r"^9\d of 9\d hours are from the ledger", done.stdout, re.MULTILINE)
    plain = program(*arguments, PYTHONIOENCODING="cp1252").stdout
    assert plain.isascii()
    assert re.search(r"^Tokens an hour: [.] none, - to \d", plain, re.MULTILINE)
    for columns, cell in ((80, "██"), (60, "█")):
        shown = on_a_terminal([*program.command, *arguments], columns, program.environ)
        lines = [line for line in shown.splitlines() if line.startswith(("╭", "│", "├", "╰"))]
        assert len({len(line) for line in lines}) == 1
        assert len(lines[0]) <= columns
        assert any(f" {cell}" in line or f"▓{cell}" in line for line in lines)


def test_an_hour_of_a_map_that_is_not_answered_is_unknown_and_no_zero(
    cloud: Cloud, program: Program, config: str
) -> None:
    cloud.always = lambda request: Response(b'{"error_msg": "no"}', 400) if request.method == "POST" else None
    done = program("report", "--config", config, "--last", "3d", "--hourly")
    assert done.returncode == 0
    assert [line[:3] for line in done.stderr.splitlines()] == ["W! "]
    assert done.stdout.split("? not known")[0].count("??") in (5, 6)
    assert cells(done.stdout, "│ Total  ")[-1] == "-"


def test_several_service_types_are_one_map_and_only_what_is_not_held_is_asked(
    cloud: Cloud, program: Program, config: str, tmp_path: Path
) -> None:
    arguments = ("report", "--config", config, "--service-type", "1", "2", "--hourly")
    done = program(*arguments, "--last", "4d")
    assert (done.returncode, done.stdout) == (2, "")
    assert "96 of its 96 hours would have to be asked" in done.stderr
    assert cloud.seen == []
    assert program(*arguments, "--last", "2d").returncode == 0
    kinds = [body["service_type"] for body in cloud.statistics()]
    assert kinds.count(1) in (48, 49)
    assert kinds.count(2) in (5, 6)
    cloud.seen.clear()
    assert (
        program("collect", "--config", written(cloud, program, tmp_path, more="service_types: [1, 2]")).returncode == 0
    )
    both = program(*arguments, "--last", "4d")
    assert (both.returncode, both.stdout.count("╭")) == (0, 1)
    rows = table(program(*arguments, "--last", "4d", "--format", "csv").stdout)
    total = sum(int(row["total_tokens"]) for row in rows)
    assert f"{total / 1e6:.2f} M" in re.sub(" +", " ", both.stdout.split("│ Total")[1])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("timezone: Asia/Kathmandu", "its hours begin 15 minutes past those of UTC, which are all that the ledger has"),
        ("ips: ['10.0.0.1']", "set `hourly: true` in --config, and let them be collected"),
    ],
)
def test_too_many_hours_to_ask_are_refused_with_their_number_and_the_remedy(
    cloud: Cloud, program: Program, config: str, tmp_path: Path, more: str, words: str
) -> None:
    zone = more[10:] if more.startswith("timezone") else NOON
    other = written(cloud, program, tmp_path, zone, "" if more.startswith("timezone") else more)
    done = program("report", "--config", other, "--last", "3d", "--hourly")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    start = "E! --hourly: the range is longer than 2 days (48 hours), and 72 of its 72 hours would have to be asked"
    assert done.stderr.startswith(start)
    assert re.search(words, done.stderr)
    assert "--daily" in done.stderr
    assert cloud.seen == []


def test_up_to_48_hours_that_are_not_held_are_asked(cloud: Cloud, program: Program, config: str) -> None:
    done = program("report", "--config", config, "--last", "6d", "--hourly")
    assert (done.returncode, done.stderr) == (0, "")
    assert 28 <= len(cloud.statistics()) <= 31
    refused = program("report", "--config", config, "--last", "7d", "--hourly")
    assert refused.returncode == 2
    assert re.search("and 5[0-3] of its 168 hours would have to be asked", refused.stderr)


def test_raw_shows_the_answers_of_all_hours_and_so_asks_for_them(cloud: Cloud, program: Program, config: str) -> None:
    done = program("report", "--config", config, "--last", "4d", "--daily", "--raw")
    assert len(cloud.statistics()) == 5
    assert "from the ledger" not in done.stdout
    done = program("report", "--config", config, "--last", "4d", "--hourly", "--raw")
    assert done.returncode == 2
    assert "leave out --raw" in done.stderr


def spoil(tmp_path: Path) -> None:
    for path in tmp_path.glob("*.sqlite3*"):
        path.unlink()
    (tmp_path / "maas-usage-check.sqlite3").write_text("no database " * 500)


def forget(tmp_path: Path) -> None:
    for path in tmp_path.glob("*.sqlite3*"):
        path.unlink()


def without_tables(tmp_path: Path) -> None:
    with sqlite3.connect(state(tmp_path)) as connection:
        connection.execute("DROP TABLE series")


def doubt(tmp_path: Path) -> None:
    found = "SELECT 'AddUp', name, ? FROM entries WHERE kind = 'KeyEntry'"
    change(tmp_path, f"INSERT OR REPLACE INTO notes {found}", '{"failed": "they do not add up"}')


def unlearn(tmp_path: Path) -> None:
    change(tmp_path, "UPDATE entries SET value = '{}' WHERE kind = 'KeyEntry'")


@pytest.mark.parametrize("happens", [spoil, forget, without_tables, doubt, unlearn])
def test_where_the_ledger_cannot_be_read_or_believed_all_is_asked(
    cloud: Cloud, program: Program, config: str, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    happens(tmp_path)
    done = program("report", "--config", config, "--last", "3d", "--daily")
    assert done.returncode == 0
    assert len(cloud.statistics()) == 4
    assert "from the ledger" not in done.stdout
    assert "-" not in cells(done.stdout, "│ Total  ")


def test_another_key_whose_project_is_not_known_gets_nothing_from_the_ledger(
    cloud: Cloud, program: Program, config: str, tmp_path: Path
) -> None:
    cloud.emulator.keys["OTHERACCESSKEY000000"] = SK
    key = tmp_path / "other"
    key.write_text(f"OTHERACCESSKEY000000,{SK}")
    key.chmod(0o600)
    arguments = ("report", "--config", config, "--last", "3d", "--daily", "--credentials-file", str(key))
    assert "from the ledger" not in program(*arguments).stdout
    assert len(cloud.statistics()) == 4
    assert program("report", "--config", config, "--daily", "--last", "3d", HW_ACCESS_KEY=None).returncode == 1
    assert AK != "OTHERACCESSKEY000000"


def test_a_report_does_not_warn_of_hours_that_it_does_not_ask(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    few = f"hourly: true\nstate_dir: {tmp_path}\nproject_id: {'d3m0' * 8}\nmax_requests_per_minute: 5\n"
    config = program.for_cloud(cloud, f"{few}service_types: [1, 2, 4]\nmin_collection_interval: 3600")
    assert "the hours of 3 series take 12 calls an hour" in program("collect", "--config", config).stderr
    assert "calls an hour" not in program("report", "--config", config, "--last", "1d").stderr


def test_an_hour_that_is_not_final_or_not_held_is_asked(
    cloud: Cloud, program: Program, config: str, tmp_path: Path
) -> None:
    now = int(time.time() * 1000) // HOUR * HOUR
    change(tmp_path, "DELETE FROM hours WHERE start = ?", now - 20 * HOUR)
    change(tmp_path, "UPDATE hours SET settled = 0 WHERE start = ?", now - 22 * HOUR)
    assert program("report", "--config", config, "--last", "2d", "--hourly").returncode == 0
    asked = [body["start_time"] for body in cloud.statistics()]
    assert {now - 20 * HOUR, now - 22 * HOUR} <= set(asked)
    assert now - 21 * HOUR not in asked
    assert len(asked) in (7, 8)


def test_a_label_whose_calls_are_in_the_ledger_is_not_called_unknown(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    cloud.emulator.requests_per_minute = UNLIMITED
    more = "per_api_key: true\napi_keys: [team-search, typo]"
    config = written(cloud, program, tmp_path, more=more)
    assert program("collect", "--config", config).returncode == 0
    last = dt.datetime.now(dt.timezone(dt.timedelta(hours=AHEAD))).date() - dt.timedelta(days=1)
    cloud.seen.clear()
    done = program(
        "report", "--config", config, "--from", str(last - dt.timedelta(days=3)), "--to", str(last), "--daily"
    )
    assert (done.returncode, cloud.seen) == (0, [])
    assert re.findall("label (.*) had no call", done.stderr) == ["2 of 2 (typo)"]
    assert "API key: team-search" in done.stdout
    assert "144 of 216" not in done.stdout
    assert "216 of 216 hours are from the ledger" in done.stdout


def test_what_is_held_is_shown_while_the_key_is_refused_and_a_warning_says_what_is_not(
    cloud: Cloud, program: Program, config: str
) -> None:
    cloud.emulator.keys[AK] = "another"
    done = program("report", "--config", config, "--last", "3d", "--daily")
    assert done.returncode == 0
    assert done.stderr.startswith("W! cn-southwest-2: the signature was refused")
    assert [cells(done.stdout, f"│ {day}")[0] == "-" for day in names(done.stdout)] == [True, False, False, True]
    assert cells(done.stdout, "│ Total  ")[0] == "-"
