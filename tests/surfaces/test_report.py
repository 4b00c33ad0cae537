from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config import load_instance
from maas_usage_check.config.ranges import DAY, Window, kept
from maas_usage_check.surfaces.report import by_day, period, tokens

from ..conftest import AK, SK, Cloud, Program

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo
else:
    from backports.zoneinfo import ZoneInfo


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (2_482_084_980, "2,482.08 M tokens"),
        (550_890_000, "550.89 M tokens"),
        (24_872_928, "24.87 M tokens"),
        (1_000_000, "1.00 M tokens"),
        (999_999, "1,000.00 K tokens"),
        (12_404, "12.40 K tokens"),
        (0, "0.00 K tokens"),
    ],
)
def test_tokens_are_written_as_the_script_writes_them(count: int, text: str) -> None:
    assert tokens(count) == text


def test_a_period_is_written_as_the_script_writes_it() -> None:
    start, end = (
        int(dt.datetime(2026, 5, day, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000) for day in (8, 21)
    )
    assert period(Window(start, end), ZoneInfo("Asia/Shanghai")) == "2026-05-08 00:00:00 ~ 2026-05-21 00:00:00 (CST)"


@given(
    st.sampled_from(["last_1h", "last_7d", "last_60d", "this_month", "today"]),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "America/Havana", "Asia/Kathmandu"]),
    st.integers(1_700_000_000, 1_900_000_000),
)
def test_the_days_of_a_range_adjoin_and_cover_what_is_kept_of_it(name: str, zone: str, now: int) -> None:
    instance = load_instance({"ranges": [name], "timezone": zone}, {}, "x", now)
    windows = [span.window(now * 1000, instance.zone) for span in by_day(instance, now * 1000).ranges]
    held = kept(instance.ranges[0].window(now * 1000, instance.zone), now * 1000).windows
    assert (windows[0].start, windows[-1].end) == (held[0].start, held[-1].end)
    assert all(one.end == other.start for one, other in zip(windows, windows[1:]))
    for window in windows[1:]:  # midnight, or, where a clock change skips it, the first moment of the day
        before, first = (
            dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)) for at in (window.start - 1, window.start)
        )
        assert before.date() < first.date()
    assert all(window.end - window.start <= DAY + 3_600_000 for window in windows)


def cells(output: str, row: str) -> List[str]:
    (line,) = [line for line in output.splitlines() if row in line]
    return [cell.strip() for cell in line.split("│")[2:-1]]


def test_the_default_is_the_last_7_days_of_the_preset_service(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud, "ranges: [last_7d]"))
    assert done.returncode == 0, done.stderr
    assert "MaaS Preset Service Usage Statistics - Region: cn-southwest-2" in done.stdout
    answer = cloud.answers[-1]
    assert cells(done.stdout, "Total Tokens") == [tokens(round(answer["total_token"] * 1000))]
    assert cells(done.stdout, "Total Requests") == [f"{answer['total_request_count']:,}"]
    assert cells(done.stdout, "Total Errors") == [f"{answer['total_error_count']:,}"]
    rate = answer["total_error_count"] / answer["total_request_count"]
    assert cells(done.stdout, "Error Rate") == [f"{rate:.2%}"]
    assert " ~ " in done.stdout


def test_from_and_to_are_local_midnights_and_the_last_day_is_not_counted(cloud: Cloud, program: Program) -> None:
    since, until = (dt.date.today() - dt.timedelta(days=days) for days in (10, 3))
    config = program.for_cloud(cloud, "timezone: Asia/Shanghai")
    done = program("report", "--config", config, "--from", str(since), "--to", str(until))
    assert f"Period: {since} 00:00:00 ~ {until} 00:00:00 (CST)" in done.stdout
    (body,) = cloud.statistics()
    assert body["end_time"] - body["start_time"] == 7 * DAY


def test_the_options_of_the_script_filter_and_the_options_win_over_the_file(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "service_types: [preset]")
    done = program(
        "report",
        "--config",
        config,
        "--last",
        "3d",
        "--service-type",
        "4",
        "--infer-type",
        "batch",
        "--api-keys",
        "a",
        "b",
    )
    assert done.returncode == 0
    assert "MaaS Custom Endpoint (batch) Usage Statistics" in done.stdout
    (body,) = cloud.statistics()
    assert (body["service_type"], body["infer_type"], body["api_keys"]) == (4, "batch", ["a", "b"])


def test_a_credentials_file_wins_over_the_environment(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{AK}\n{SK}\n")
    path.chmod(0o600)
    done = program(
        "report", "--config", program.for_cloud(cloud), "--credentials-file", str(path), HW_SECRET_KEY="wrong"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_daily_shows_one_row_and_one_bar_per_day_that_add_up(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "timezone: Asia/Shanghai")
    daily = program("report", "--config", config, "--last", "7d", "--daily")
    rows = [line.split("│") for line in daily.stdout.splitlines() if line.startswith("│ 20")]
    assert len(rows) == 8
    assert max(row[7].count("█") for row in rows) == 8
    whole = program("report", "--config", config, "--last", "7d")
    total = int(cells(whole.stdout, "Total Requests")[0].replace(",", ""))
    assert abs(sum(int(row[5].replace(",", "")) for row in rows) - total) <= total * 0.01  # an hour may turn in between
    assert program("report", "--config", config, "--daily").returncode == 2


def test_raw_shows_the_apis_own_answers(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud), "--last", "30d", "--raw")
    answers: Any = json.loads(done.stdout.split("Raw API Response:")[1])
    assert len(answers) == 2
    assert {"total_token", "total_request_count"} <= set(answers[0]["data"])


def test_a_range_that_reaches_past_what_is_kept_is_warned_of(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud), "--last", "60d")
    assert "W! last_60d: reaches past the 30 days that the cloud keeps; the numbers cover 50.0% of it" in done.stderr


def test_what_failed_is_told_and_shown_as_nothing_rather_than_as_zero(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud), HW_SECRET_KEY="wrong")
    assert done.returncode == 1
    assert done.stderr.startswith("E! cn-southwest-2: the signature was refused")
    assert done.stdout.strip() == ""


def test_a_name_that_looks_like_markup_is_shown_as_it_is(cloud: Cloud, program: Program) -> None:
    more = "ranges: [{name: '[red]x[/red]', from: '2026-11-01'}]\nper_api_key: true\napi_keys: ['[bold]']"
    done = program("report", "--config", program.for_cloud(cloud, more))
    assert "API key: [bold]" in done.stdout


def test_daily_says_what_share_of_the_whole_range_is_there(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "timezone: Asia/Shanghai")
    done = program("report", "--config", config, "--last", "60d", "--daily")
    assert done.stderr == (
        "W! last_60d: reaches past the 30 days that the cloud keeps; the numbers cover 50.0% of it\n"
    )


def test_daily_of_exactly_what_is_kept_warns_of_nothing(cloud: Cloud, program: Program) -> None:
    done = program(
        "report", "--config", program.for_cloud(cloud, "timezone: Asia/Shanghai"), "--last", "30d", "--daily"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_zone_that_cannot_be_told_is_said_before_anything_is_asked_or_printed(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud), "--last", "7d", TZ="CST-8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("E! timezone: the host's zone")
    assert cloud.seen == []


def test_a_range_longer_than_the_calendar_shows_the_part_that_is_kept(cloud: Cloud, program: Program) -> None:
    done = program("report", "--config", program.for_cloud(cloud), "--last", "999999d")
    assert done.returncode == 0
    assert f"Period: {dt.date.today().year - 1}" in done.stdout or f"Period: {dt.date.today().year}" in done.stdout
    assert done.stderr.startswith("W! last_999999d: reaches past")


def test_a_terminal_without_block_characters_gets_a_plain_table(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "per_api_key: true\napi_keys: ['\u4e2d']\ntimezone: Asia/Shanghai")
    done = program("report", "--config", config, "--last", "3d", "--daily", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "API key: ?" in done.stdout
    assert (
        program(
            "report", "--config", program.for_cloud(cloud), "--last", "3d", "--daily", PYTHONIOENCODING="cp1252"
        ).stdout.count("########")
        == 1
    )
