"""`report` from whole hours, by day, hour and API key: those of the ledger, and the queries for the others."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from werkzeug import Request, Response

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.asked_period import AskedPeriod
from maas_usage_check.commands.report.hour_reports import make_hour_reports
from maas_usage_check.commands.report.periods import Part, format_hour, split_hours
from maas_usage_check.commands.report.report_options import View
from maas_usage_check.config import ServiceType, load_instance
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger.known_usage import KnownUsage, hour_span
from maas_usage_check.ledger.window import whole_hours

from ..conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from ..fixed_clock import MONDAY
from ..program import only_line
from .conftest import (
    ZONES,
    Report,
    ZoneInfo,
    counts,
    delete_state,
    execute_sql,
    first_column,
    parse_csv,
    row_cells,
    state_path,
    table_lines,
    true_usage,
)

HOUR = 3_600_000
NOON = int(MONDAY * 1000) // HOUR * HOUR
"""The beginning of the current hour; hours are final up to 9:00."""
LAST_3_DAYS = ("--from", "2026-11-20", "--to", "2026-11-23")
BY_KEY = ("--by", "key", "--api-keys", "team-search", "batch-jobs", "")


@pytest.fixture
def report(report: Report, tmp_path: Path) -> Report:
    report.cloud.emulator.requests_per_minute = 10**6
    report.yaml = f"hourly: true\nbackfill_days: 5\nmax_requests_per_minute: 80000\nstate_dir: {tmp_path}\n"
    return report


@pytest.fixture
def collected(report: Report) -> Report:
    """Report with the hours of the last 5 days in the ledger."""
    report.collect()
    return report


def refuse_all(cloud: Cloud) -> None:
    cloud.responder = lambda request: Response(b'{"error_msg": "no"}', 400) if request.method == "POST" else None


def sum_of(rows: Sequence[Any]) -> List[int]:
    return [sum(column) for column in zip(*map(counts, rows))]


@pytest.mark.parametrize(("size", "name"), [("day", "%Y-%m-%d"), ("hour", "%Y-%m-%dT%H:%M")])
@given(
    st.sampled_from(ZONES),
    st.one_of(st.integers(1_700_000_000, 1_900_000_000), st.integers(1_793_400_000, 1_793_800_000)),
    st.integers(1, 100),
)
@example("Australia/Lord_Howe", 1_806_764_401, 5)
def test_periods(size: str, name: str, zone: str, now: int, count: int) -> None:
    """Each hour is in the day in which it begins, once; a day without all its hours is partial."""
    tz, window = ZoneInfo(zone), Window(now * 1000 - count * HOUR, now * 1000)
    hours = whole_hours(window, now * 1000, is_models=False)
    assume(hours.start < hours.end)
    pieces = list(split_hours(hours, size, tz))
    assert [piece.start for piece in pieces] == [hours.start, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == hours.end
    assert len({piece.name for piece in pieces}) == len(pieces)
    for piece in pieces:
        own = range(piece.start, piece.end, HOUR)
        assert {dt.datetime.fromtimestamp(at / 1000, tz).strftime(name) for at in own} == {piece.name[:16]}
        around = range(piece.start - 30 * HOUR, piece.start + 30 * HOUR, HOUR)
        of_day = [at for at in around if dt.datetime.fromtimestamp(at / 1000, tz).date().isoformat() == piece.name]
        assert piece.partial is (size == "day" and of_day != list(own))


def test_day_of_25_hours() -> None:
    """When the clocks are set back, the day has 25 hours with distinct names."""
    tz, end = ZoneInfo("America/New_York"), dt.datetime(2026, 11, 2, 5, tzinfo=dt.timezone.utc).timestamp() * 1000
    hours = range(int(end) - 25 * HOUR, int(end), HOUR)
    assert [format_hour(at, tz) for at in hours][:4] == [
        "11-01 00:00", "11-01 01:00 EDT", "11-01 01:00 EST", "11-01 02:00",
    ]  # fmt: skip
    assert list(split_hours(Window(hours.start, hours.stop), "day", tz)) == [
        Part("2026-11-01", hours.start, hours.stop, False)
    ]


@given(st.lists(st.lists(st.none() | st.integers(0, 9), min_size=6, max_size=6), min_size=3, max_size=3))
def test_parts_add_up_to_the_whole(tokens: List[List[Any]]) -> None:
    """By key, the rows of every period add up to the hours of all calls; a part that is not known is no zero."""
    instance = load_instance({"api_keys": ["a", "b"], "per_api_key": True, "timezone": "UTC"}, {}, "x", MONDAY)
    hours = [NOON + i * HOUR for i in range(6)]
    series = [
        {hour_span(at): Usage(count, 0, 0, 0, 0) for at, count in zip(hours, each) if count is not None}
        for each in tokens
    ]
    known = {(ServiceType.preset, "real_time", label): own for label, own in zip(("a", "b", ""), series)}
    window = Window(hours[0], hours[-1] + HOUR)
    asked, view = AskedPeriod("x", window, window), View("key", "hour")
    (report,) = make_hour_reports(instance, view, asked, KnownUsage(known, {}), "project", NOON)
    for line, (a, b, whole) in zip(report.lines, zip(*tokens)):
        shown = [None if usage is None else usage.total_tokens for usage in line.usages]
        if None in (a, b, whole):
            assert shown[2] is None
        else:
            assert shown == [a, b, whole - a - b if whole >= a + b else None]
        assert (line.total is None) == (whole is None)
    common = [hour_span(at) for at in hours if all(hour_span(at) in each for each in series)]
    if common:
        assert report.whole.period.covered == len(common) * HOUR
        assert report.whole.total is not None
        assert report.whole.total.total_tokens == sum(series[2][span].total_tokens for span in common)
    excess = any(None not in each and each[2] < each[0] + each[1] for each in zip(*tokens))
    assert any("exceed all keys" in note for note in report.notes) or not excess


@pytest.mark.parametrize(("size", "number"), [("--hourly", 95), ("--daily", 5)])
def test_ledger_has_the_hours(cloud: Cloud, collected: Report, size: str, number: int) -> None:
    """Only hours that are not final are queried, however the window is cut."""
    rows = collected.csv("--last", "4d", size)
    assert len(rows) == number
    assert {(body["end_time"] + 1 - NOON) // HOUR for body in cloud.statistics()} <= {0, -1, -2}
    for row in rows:
        assert counts(row) == true_usage(cloud, row["start"], row["end"])
        assert (row["project_id"], row["covered_ratio"]) == (cloud.emulator.projects[1]["id"], "1.0")
    document = collected.document("--last", "4d", size)
    assert [counts(row) for row in document["rows"]] == [counts(row) for row in rows]
    assert counts(document["total"]) == sum_of(rows)
    assert [document["period"][name] for name in ("start", "end")] == [rows[0]["start"], rows[-1]["end"]]


def test_nothing_is_queried(cloud: Cloud, collected: Report) -> None:
    done = collected(*LAST_3_DAYS, "--daily")
    assert (done.returncode, done.stderr, cloud.requests) == (0, "", [])
    assert first_column(done.stdout) == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert "Period: 2026-11-20 00:00:00 ~ 2026-11-23 00:00:00 (UTC), in whole hours of UTC\n" in done.stdout


def test_report_completes_the_ledger(cloud: Cloud, report: Report) -> None:
    """Without a collection, a report queries about each hour once; the next one has it in the ledger."""
    report.yaml = report.yaml.replace("hourly: true\nbackfill_days: 5\n", "")
    rows = report.csv(*LAST_3_DAYS, "--hourly")
    assert [counts(row) for row in rows] == [
        true_usage(cloud, NOON - (84 - i) * HOUR, NOON - (83 - i) * HOUR) for i in range(72)
    ]
    assert 72 <= len(cloud.statistics()) <= 72 * 6 / 5
    assert all(body["end_time"] % HOUR == HOUR - 1 for body in cloud.statistics())
    cloud.requests.clear()
    assert sum_of(report.csv(*LAST_3_DAYS, "--daily")) == sum_of(rows)
    assert cloud.requests == []


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns"])
def test_half_hours(cloud: Cloud, report: Report, zone: str) -> None:
    """Also where hours of UTC begin within local ones, an hour belongs to the day in which it begins."""
    report.yaml += f"timezone: {zone}"
    days, (yesterday,) = report.csv("--last", "2d", "--daily"), report.csv("--yesterday", "--daily")
    assert sum_of(days) == true_usage(cloud, NOON - 47 * HOUR, NOON)
    assert [row["period"] for row in days] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert [row["partial"] for row in days] == ["true", "false", "true"]
    assert counts(yesterday) == counts(days[1])
    assert dt.datetime.fromisoformat(yesterday["start"]).date().isoformat() == "2026-11-22"


def test_daily(cloud: Cloud, report: Report) -> None:
    """--daily shows a row and a bar per day, and the rows add up."""
    report.yaml += "timezone: Asia/Shanghai"
    daily = report("--last", "5d", "--daily").stdout
    days = ["2026-11-18 (part)", *(f"2026-11-{day}" for day in range(19, 23)), "2026-11-23 (part)"]
    assert first_column(daily) == days
    assert max(line.count("█") for line in daily.splitlines()) == 8
    requests, errors = true_usage(cloud, NOON - 119 * HOUR, NOON)[3:]
    assert row_cells(daily, "│ Total  ")[3:] == [f"{requests:,}", f"{errors / requests:.2%}", ""]
    assert row_cells(daily, "Error rate") == ["Total", "Prompt", "Completion", "Requests", "Error rate", ""]
    assert "part" not in report("--yesterday", "--daily").stdout


def test_hourly(report: Report) -> None:
    """Up to 2 days, --hourly shows a row per hour; the running hour is not over."""
    hours = [*(f"11-22 {hour}:00" for hour in range(13, 24)), *(f"11-23 {hour:02}:00" for hour in range(12))]
    assert first_column(report("--last", "24h", "--hourly").stdout) == hours
    assert "Tokens an hour" not in report("--last", "50h", "--hourly").stdout
    assert "Tokens an hour" in report("--last", "51h", "--hourly").stdout


def test_heat_map(cloud: Cloud, collected: Report) -> None:
    """The hours of more than two days are a heat map."""
    options = ("--last", "4d", "--hourly")
    done = collected(*options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "│ Day        │ 00    03    06    09    12    15    18    21     │" in done.stdout
    assert len(first_column(done.stdout)) == 5
    total = f"{true_usage(cloud, NOON - 95 * HOUR, NOON)[0] / 1e6:.2f} M"
    assert row_cells(done.stdout, "│ Total  ")[-1] == total
    assert re.search(r"^Tokens an hour: · none, ░ to \d", done.stdout, re.MULTILINE)
    for columns, cell in ((80, "██"), (60, "█")):
        lines = table_lines(collected.on_terminal(columns, *options), columns)
        assert any(f" {cell}" in line or f"▓{cell}" in line for line in lines)
    plain = collected(*options, PYTHONIOENCODING="cp1252").stdout
    assert plain.isascii()
    assert re.search(r"^Tokens an hour: [.] none, - to \d", plain, re.MULTILINE)


def test_service_types(cloud: Cloud, report: Report) -> None:
    """Several service types have a column each and a total; a map adds them up."""
    options = ("--service-type", "1", "4", "--last", "3d")
    daily = report(*options, "--daily").stdout
    assert row_cells(daily, "│ Day")[:3] == ["My Service", "Custom Endpoint", "Total"]
    usages = [true_usage(cloud, NOON - 71 * HOUR, NOON, kinds) for kinds in ([1], [4], [1, 4])]
    shown = [f"{usage[0] / 1e6:.2f} M" for usage in usages]
    assert row_cells(daily, "│ Total  ")[:4] == [*shown, f"{usages[2][3]:,}"]
    assert row_cells(report(*options, "--hourly").stdout, "│ Total  ")[-1] == shown[2]


def test_by_key(cloud: Cloud, report: Report) -> None:
    """Labels have a row each; what no label covers has one too, so that the rows add up to all calls."""
    options = (*BY_KEY, *LAST_3_DAYS, "--service-type", "1", "2")
    window = (NOON - 84 * HOUR, NOON - 12 * HOUR)
    rows = report.csv(*options)
    assert [row["api_key_label"] for row in rows] == ["team-search", "batch-jobs", "online_experience", ""]
    for row, labels in zip(rows, (["team-search"], ["batch-jobs"], [""], ["team-support"])):
        assert counts(row) == true_usage(cloud, *window, (1, 2), labels)
    document = report.document(*options)
    assert document["rows"][-1]["api_key_label"] is None
    assert counts(document["total"]) == sum_of(rows) == true_usage(cloud, *window, (1, 2))
    shown = report(*options)
    assert "MaaS Usage by API Key - Region: cn-southwest-2" in shown.stdout
    assert first_column(shown.stdout)[1:] == ["team-search", "batch-jobs", "online_experience", "Other keys", "Total"]
    daily = report.csv(*options, "--daily")
    assert len(daily) == 12
    assert sum_of(daily) == sum_of(rows)
    report.yaml += "api_keys: [team-search]\nper_api_key: true"
    assert len(report.csv("--by", "key", *LAST_3_DAYS)) == 2


def test_labels_exceed_the_whole(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """A rest below zero is not shown."""
    options = (*BY_KEY, *LAST_3_DAYS)
    report(*options)
    largest = "SELECT series FROM hours GROUP BY series ORDER BY SUM(total_tokens) DESC LIMIT 1"
    assert execute_sql(tmp_path, f"UPDATE hours SET total_tokens = 0 WHERE series = ({largest})") == 72
    done = report(*options)
    assert row_cells(done.stdout, "│ Other keys") == ["-"] * 6
    assert row_cells(done.stdout, "│ Total  ")[0] == "0.00 K"
    assert "The labels exceed all keys together" in done.stdout


def test_labels_are_needed(cloud: Cloud, report: Report) -> None:
    assert only_line(report("--by", "key"), 2).startswith("E! --by key: needs labels; name them with --api-keys")
    assert cloud.requests == []


def test_failed_hours(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    """A failed hour is not a zero, and sums say that they lack it."""
    execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", NOON - 20 * HOUR)
    refuse_all(cloud)
    done = collected("--last", "3d", "--hourly")
    assert done.returncode == 0
    assert [line[:3] for line in done.stderr.splitlines()] == ["W! "]
    assert done.stdout.split("? not known")[0].count("??") == 4
    known = [at for at in range(NOON - 71 * HOUR, NOON - 3 * HOUR, HOUR) if at != NOON - 20 * HOUR]
    total = sum(true_usage(cloud, at, at + HOUR)[0] for at in known)
    assert row_cells(done.stdout, "│ Total  ")[-1] == f"> {total / 1e6:.2f} M"
    times = "2026-11-22 16:00 to 17:00, 2026-11-23 09:00 to 12:00"
    assert f"\ncovered 94.3 %: {times} not known\n" in done.stdout
    daily = collected("--last", "3d", "--daily")
    assert first_column(daily.stdout)[-2:] == ["2026-11-22 (23 of 24 h)", "2026-11-23 (part, 9 of 12 h)"]
    assert row_cells(daily.stdout, "│ Total (67 of 71 h)")[0] == f"{total / 1e6:.2f} M"
    document = collected.document("--last", "3d", "--hourly")
    assert document["covered_ratio"] == pytest.approx(67 / 71)
    assert document["total"]["total_tokens"] == total
    unknown = [row for row in document["rows"] if row["total_tokens"] is None]
    assert [row["covered_ratio"] for row in unknown] == [0.0] * 4
    assert {row["requests"] for row in unknown} == {None}


def test_failed_service_type(cloud: Cloud, report: Report) -> None:
    """A service type of which no hour is known has no number, and there is no total."""
    bad = Response(b'{"error_msg": "no"}', 400)
    cloud.responder = lambda request: bad if (request.get_json(silent=True) or {}).get("service_type") == 1 else None
    done = report("--service-type", "1", "2", "--last", "2d", "--daily")
    assert done.returncode == 0
    cells = row_cells(done.stdout, "│ Total  ")
    assert (cells[0], cells[2], "-" in cells[1]) == ("-", "-", False)


def test_failed_daily_check(collected: Report, tmp_path: Path) -> None:
    """Hours that do not add up to their day are not shown; the total of the window is."""
    reason = "the 24 hours of 2026-11-21 (UTC) have 2 total tokens, their day has 1"
    execute_sql(tmp_path, "UPDATE entries SET value = ? WHERE kind = 'AddUp'", json.dumps({"failed": reason}))
    assert only_line(collected("--last", "3d", "--hourly"), 1) == f"E! cn-southwest-2: {reason}"
    assert collected.cloud.requests == []
    assert collected("--last", "3d").returncode == 0


@pytest.mark.parametrize("is_noise", [True, False])
def test_unusable_state(cloud: Cloud, collected: Report, tmp_path: Path, is_noise: bool) -> None:
    """Where the state cannot be used, a temporary one is completed, with a warning."""
    execute_sql(tmp_path, "DROP TABLE series")
    if is_noise:
        delete_state(tmp_path)
        (tmp_path / "maas-usage-check.sqlite3").write_text("no database " * 500)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.sqlite3")}
    done = collected(*LAST_3_DAYS, "--daily")
    assert done.returncode == 0
    assert "cannot read the state: damaged" in done.stderr
    assert "This report stores its hours for itself alone" in done.stderr
    if is_noise:
        assert before == {path: path.read_bytes() for path in before}
    assert sum_of(collected.csv(*LAST_3_DAYS, "--daily")) == true_usage(cloud, NOON - 84 * HOUR, NOON - 12 * HOUR)


def test_unwritable_state(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    """What a state has that cannot be written is shown; only the rest is queried, for this report alone."""
    execute_sql(tmp_path, "DELETE FROM hours WHERE start IN (?, ?)", NOON - 50 * HOUR, NOON - 60 * HOUR)
    with closing(sqlite3.connect(state_path(tmp_path))) as connection:
        connection.execute("BEGIN IMMEDIATE")  # another process keeps it locked
        done = collected(*LAST_3_DAYS, "--daily", "--format", "csv")
    assert done.returncode == 0
    assert "This report stores its hours for itself alone" in done.stderr
    assert sum_of(parse_csv(done.stdout)) == true_usage(cloud, NOON - 84 * HOUR, NOON - 12 * HOUR)
    assert len(cloud.statistics()) == 2


def test_long_completion(cloud: Cloud, report: Report, clock: FixedClock) -> None:
    """A line says how long it will take; the deadline of a cycle does not end it."""
    report.yaml = report.yaml.replace("80000", "40")
    done = report(*LAST_3_DAYS, "--daily")
    line = "I! cn-southwest-2: 72 hours are missing: about 86 requests, 5 minutes at half of max_requests_per_minute; "
    assert (done.returncode, done.stderr) == (0, f"{line}Ctrl-C shows what is known by then\n")
    assert sum(clock.slept) > 120
    assert "-" not in row_cells(done.stdout, "│ Total  ")
    assert collected_again(report, cloud) == 0


def test_slow_cloud(cloud: Cloud, report: Report, clock: FixedClock) -> None:
    """The deadline counts from the last answer."""

    def answer_slowly(request: Request) -> None:
        clock.sleep(8)

    cloud.responder = answer_slowly
    done = report("--yesterday", "--daily")
    assert (done.returncode, done.stderr) == (0, "")
    assert first_column(done.stdout) == ["2026-11-22"]
    assert sum(clock.slept) > 24 * 8


def collected_again(report: Report, cloud: Cloud) -> int:
    cloud.requests.clear()
    assert report(*LAST_3_DAYS, "--hourly").returncode == 0
    return len(cloud.requests)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_early(cloud: Cloud, program: Program, report: Report, number: int) -> None:
    """A signal ends the completion at once: the known hours are shown, and the others marked."""
    release = cloud.block(lambda request: len(cloud.statistics()) > 40)
    process = program.start(*report.arguments(*LAST_3_DAYS, "--hourly"))
    try:
        wait_for(lambda: len(cloud.statistics()) > 40, "40 requests")
        process.send_signal(number)
        shown, log = (stream.decode() for stream in process.communicate(timeout=30))
    finally:
        release.set()
    assert process.returncode == 0
    assert "W! cn-southwest-2: ended by a signal: the hours queried so far are shown" in log
    assert "??" in shown
    assert re.search(r"│ Total .* > [\d.]+ M", shown)


def test_stopped_completion(cloud: Cloud, report: Report) -> None:
    """A missing permission ends the completion, and is named once."""
    cloud.emulator.denied_permissions.add("modelarts:monitoring:get")
    line = only_line(report("--last", "5d", "--daily", "--service-type", "1", "2", "4"), 1)
    assert line.startswith("E! cn-southwest-2: the key's user lacks a permission: allow `modelarts:monitoring:get`")
    assert len(cloud.statistics()) <= 4, "those in flight"


def test_unknown_project(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    """Another access key looks its project up, and without one nothing is shown."""
    cloud.emulator.secret_keys["OTHERACCESSKEY000000"] = SK
    key = tmp_path / "other"
    key.write_text(f"OTHERACCESSKEY000000,{SK}")
    key.chmod(0o600)
    assert collected(*LAST_3_DAYS, "--daily", "--credentials-file", str(key)).returncode == 0
    assert [request.path for request in cloud.requests] == ["/v3/projects"]
    assert collected(*LAST_3_DAYS, "--daily", HW_ACCESS_KEY=None).returncode == 1


def test_ledger_with_refused_key(cloud: Cloud, collected: Report) -> None:
    """The hours of the ledger are shown while the access key is refused."""
    cloud.emulator.secret_keys[AK] = "another"
    for _ in range(2):  # the second time, nothing is sent during the wait
        done = collected("--last", "3d", "--daily")
        assert done.returncode == 0
        assert done.stderr.startswith("W! cn-southwest-2: the signature was refused")
        assert first_column(done.stdout)[-1] == "2026-11-23 (part, 9 of 12 h)"
    assert len(cloud.requests) == 1


def test_no_warning_of_hourly_requests(program: Program, report: Report) -> None:
    """A report does not warn of hourly requests that only `collect` sends."""
    report.yaml = f"hourly: true\nproject_id: {'d3m0' * 8}\nmax_requests_per_minute: 5\nservice_types: [1, 2, 4]\n"
    report.yaml += "min_collection_interval: 3600"
    stderr = program("collect", "--config", report.config()).stderr
    assert "12 requests are planned per cycle, but max_requests_per_minute (5) allows 5" in stderr
    assert "the hours of 3 series take 12 requests an hour" in stderr
    assert "requests an hour" not in report("--last", "1d").stderr


def test_range_past_retention(report: Report) -> None:
    """A warning says how much of a range can be known."""
    report.yaml += "timezone: Asia/Shanghai"
    done = report("--last", "60d", "--daily")
    assert (done.returncode, done.stderr) == (0, "")
    assert "│ Total (695 of 1,439 h) │" in done.stdout
    text = "covered 48.2 %: 2026-09-24 21:00 to 2026-10-25 21:00 not known"
    assert f"\n{text}\n" in done.stdout
    done = report("--last", "60d", "--daily", "--format", "json")
    document = json.loads(done.stdout)
    assert done.stderr == f"W! last_60d: {text}\n"
    assert document["covered_ratio"] == pytest.approx(695 / 1439)
    assert [row["total_tokens"] for row in document["rows"][:31]] == [None] * 31
    assert len(document["rows"]) == 61


def test_consumers_get_what_a_report_completed(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """An agent emits the hours that a report has queried, and counts nothing by them."""
    assert report(*LAST_3_DAYS, "--daily").returncode == 0
    cloud.requests.clear()
    done = report.program("collect", "--config", report.config())
    hours = re.findall(r"^huawei_maas_hourly,.* (\d+)$", done.stdout, re.MULTILINE)
    assert {str((NOON - back * HOUR) * 1_000_000) for back in range(13, 85)} <= set(hours)
    # The missing 48 hours, those of a daily check, and a few that confirm the hours of the report by their sums.
    assert len(cloud.statistics()) <= 48 * 6 / 5 + 26 + 10
    done = report.program("collect", "--config", report.config(), "--format", "prometheus")
    assert re.search(r"^huawei_maas_consumed_tokens_total\{.*\} 0(\.0)?$", done.stdout, re.MULTILINE)


def test_requests_are_background(cloud: Cloud, report: Report) -> None:
    """While a completion has used up the background's half of the rate, a total goes through at once."""
    report.yaml = report.yaml.replace("80000", "40")
    cloud.emulator.denied_permissions.clear()
    done = report("--last", "20h", "--hourly")
    assert done.returncode == 0
    sent: List[Dict[str, Any]] = cloud.statistics()
    assert report("--last", "20h").stderr == ""
    assert len(cloud.statistics()) == len(sent) + 1
