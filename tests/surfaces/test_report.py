from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from rich.console import Console
from werkzeug import Request, Response

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.config import load_instance
from maas_usage_check.config.ranges import DAY, HOUR, Window, kept
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.surfaces.report.amounts import tokens
from maas_usage_check.surfaces.report.rows import Row
from maas_usage_check.surfaces.report.spans import Page, is_long, lay_out, period
from maas_usage_check.surfaces.report.tables import show

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


ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"]


def laid_out(name: Any, zone: str, now: float, size: str) -> Page:
    return lay_out(load_instance({"ranges": [name], "timezone": zone}, {}, "x", now), size, int(now * 1000))


@given(
    st.sampled_from(["last_1h", "last_7d", "last_60d", "this_month", "today", "yesterday"]),
    st.sampled_from(ZONES),
    st.integers(1_700_000_000, 1_900_000_000),
)
def test_the_days_of_a_range_adjoin_and_cover_what_is_kept_of_it(name: str, zone: str, now: int) -> None:
    page = laid_out(name, zone, now, "day")
    assume(page.spans)
    held = kept(page.asked.ranges[0].window(now * 1000, page.asked.zone), now * 1000).windows
    assert (page.spans[0].start, page.spans[-1].end) == (held[0].start, held[-1].end)
    assert all(one.end == other.start for one, other in zip(page.spans, page.spans[1:]))
    for span in page.spans:
        # A day is whole where another begins both at its start and at its end, whatever the clocks did in between.
        edges = [{local_date(at + step, zone) for step in (-1, 0)} for at in (span.start, span.end)]
        assert span.partial is not all(len(dates) == 2 for dates in edges)
        assert span.name == local_date(span.start, zone) == local_date(span.end - 1, zone)
    windows = [span.window(now * 1000, page.asked.zone) for span in page.instance.ranges]
    assert [(window.start, window.end) for window in windows] == [(span.start, span.end) for span in page.spans]


def local_date(at: int, zone: str) -> str:
    return dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).date().isoformat()


@given(
    st.sampled_from(["last_1h", "last_24h", "last_48h", "today", "yesterday"]),
    st.sampled_from(ZONES),
    st.one_of(st.integers(1_700_000_000, 1_900_000_000), st.integers(1_793_400_000, 1_793_800_000)),
)
@example("last_1h", "Australia/Lord_Howe", 1_806_764_401)
def test_the_hours_of_a_range_adjoin_and_only_those_that_its_ends_cut_are_partial(
    name: str, zone: str, now: int
) -> None:
    page = laid_out(name, zone, now, "hour")
    assume(page.spans)
    window = page.asked.ranges[0].window(now * 1000, page.asked.zone)
    assert (page.spans[0].start, page.spans[-1].end) == (window.start, window.end)
    assert all(one.end == other.start for one, other in zip(page.spans, page.spans[1:]))
    assert len({span.name for span in page.spans}) == len(page.spans)
    for span in page.spans:
        first, last = (dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)) for at in (span.start, span.end - 1))
        assert (first.date(), first.hour) == (last.date(), last.hour)
        assert span.end - span.start <= HOUR
        if zone != "Australia/Lord_Howe":  # its clocks change by half an hour
            assert span.partial is (span.end - span.start < HOUR)


def test_a_day_on_which_the_clocks_are_set_back_has_25_hours_with_names_of_their_own() -> None:
    now = dt.datetime(2026, 11, 2, 12, tzinfo=ZoneInfo("America/New_York")).timestamp()
    page = laid_out("yesterday", "America/New_York", now, "hour")
    assert [span.name[11:] for span in page.spans][:4] == ["00:00-04:00", "01:00-04:00", "01:00-05:00", "02:00-05:00"]
    assert len(page.spans) == 25
    assert not any(span.partial for span in page.spans)
    output = io.StringIO()
    use = Usage(1000, 900, 100, 10, 1)
    show(Console(file=output, width=200), page, [Row(span, "preset", "real_time", "", use) for span in page.spans])
    assert names(output.getvalue())[:4] == ["11-01 00:00", "11-01 01:00 EDT", "11-01 01:00 EST", "11-01 02:00"]
    assert cells(output.getvalue(), "│ Total  ")[0] == "25.00 K"


@pytest.mark.parametrize(
    ("since", "until", "long"),
    [
        ("2026-10-31", "2026-11-02", False),
        ("2026-10-31", "2026-11-02T01:00:00", True),
        ("2026-10-29", "2026-10-31", False),
        ("2026-10-29", "2026-10-31T01:00:00", True),
    ],
)
def test_two_days_are_not_long_however_long_the_clocks_make_them(since: str, until: str, long: bool) -> None:
    now = dt.datetime(2026, 11, 3, tzinfo=ZoneInfo("America/New_York")).timestamp()
    page = laid_out({"name": "x", "from": since, "to": until}, "America/New_York", now, "hour")
    assert is_long(page) is long
    assert not is_long(laid_out({"name": "x", "from": since, "to": until}, "America/New_York", now, "day"))


IN_ORDER = f"project_id: {PROJECT_ID}\nmax_concurrency: 1"
"""So that questions and answers are seen in the same order."""
COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")


def summed(answers: List[Any]) -> List[int]:
    """Add up what the cloud has answered; its tokens come in thousands."""
    statistics = [answer for answer in answers if "total_token" in answer]
    kinds = [(name, 1000) for name in ("total_token", "total_prompt_token", "total_completion_token")]
    kinds += [("total_request_count", 1), ("total_error_count", 1)]
    return [sum(round(answer[name] * unit) for answer in statistics) for name, unit in kinds]


def names(output: str) -> List[str]:
    """List the first column of the tables: of days and hours without their total."""
    rows = [line.split("│")[1].strip() for line in output.splitlines() if line.startswith("│")]
    return rows[1:-1] if rows[0] in ("Day", "Hour") else rows


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
    (body,) = [body for body in cloud.statistics() if len(body["api_keys"]) == 2]
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
    whole = summed(cloud.answers)
    assert cells(daily.stdout, "│ Total  ") == [
        *(tokens(count).replace(" tokens", "") for count in whole[:3]), f"{whole[3]:,}",
        f"{whole[4] / whole[3]:.2%}", "",
    ]  # fmt: skip
    assert cells(daily.stdout, "Error rate") == ["Total", "Prompt", "Completion", "Requests", "Error rate", ""]
    assert re.search(r"^Period: \S+ \S+ ~ \S+ \S+ \(CST\)$", daily.stdout, re.MULTILINE)
    several = program("report", "--config", config, "--daily")
    assert (several.returncode, several.stdout) == (2, "")
    assert "--daily: shows one range" in several.stderr


def test_a_row_that_covers_a_part_of_its_day_says_so(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "timezone: Asia/Shanghai")
    days = names(program("report", "--config", config, "--last", "5d", "--daily").stdout)
    assert [day.endswith(" (part)") for day in days] == [True, False, False, False, False, True]
    today = program("report", "--config", config, "--today").stdout
    assert re.search(r"^Period: .* 00:00:00 ~ .* \(CST\) - part of the day$", today, re.MULTILINE)
    yesterday = program("report", "--config", config, "--yesterday", "--daily").stdout
    assert "part" not in yesterday
    assert names(yesterday) == [str((dt.datetime.now(ZoneInfo("Asia/Shanghai")) - dt.timedelta(days=1)).date())]


def test_last_24h_by_the_hour_shows_a_row_for_every_hour_that_add_up(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "timezone: Asia/Kathmandu")
    done = program("report", "--config", config, "--last", "24h", "--hourly")
    assert (done.returncode, done.stderr) == (0, "")
    hours = names(done.stdout)
    assert len(hours) in (24, 25)  # 24 when the clock strikes
    assert all(re.fullmatch(r"\d\d-\d\d \d\d:00( \(part\))?", hour) for hour in hours)
    assert not any("part" in hour for hour in hours[1:-1])
    assert cells(done.stdout, "│ Total  ")[3] == f"{summed(cloud.answers)[3]:,}"
    assert cells(program("report", "--config", config, "--last", "24h").stdout, "Service Type") == ["Preset Service"]
    for body in cloud.statistics()[1:23]:
        assert body["end_time"] - body["start_time"] <= HOUR


def test_several_service_types_give_a_row_each_and_a_total_in_one_table(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"ranges: [last_7d]\n{IN_ORDER}")
    done = program("report", "--config", config, "--service-type", "1,2", "custom_endpoint")
    assert done.stdout.count("╭") == 1
    kinds = {"My Service": 1, "Preset Service": 2, "Custom Endpoint": 4}
    assert names(done.stdout)[1:] == [*kinds, "Total"]
    bodies = [body["service_type"] for body in cloud.statistics()]
    assert sorted(bodies) == [1, 2, 4]
    for name, chosen in [*((name, [kind]) for name, kind in kinds.items()), ("Total", [1, 2, 4])]:
        use = summed([answer for kind, answer in zip(bodies, cloud.answers) if kind in chosen])
        assert cells(done.stdout, f"│ {name} ") == [
            *(tokens(count).replace(" tokens", "") for count in use[:3]), f"{use[3]:,}", f"{use[4]:,}",
            f"{use[4] / use[3]:.2%}",
        ]  # fmt: skip


def test_several_service_types_by_the_day_give_a_column_each_and_a_total(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"service_types: [my_service, custom_endpoint]\n{IN_ORDER}")
    done = program("report", "--config", config, "--last", "3d", "--daily")
    assert cells(done.stdout, "│ Day")[:3] == ["My Service", "Custom Endpoint", "Total"]
    kinds = [body["service_type"] for body in cloud.statistics()]
    columns = [summed([answer for kind, answer in zip(kinds, cloud.answers) if kind == one]) for one in (1, 4)]
    columns.append(summed(cloud.answers))
    assert cells(done.stdout, "│ Total  ")[:4] == [
        *(tokens(column[0]).replace(" tokens", "") for column in columns), f"{columns[2][3]:,}",
    ]  # fmt: skip


def test_ranges_that_overlap_are_never_added_up(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "ranges: [last_7d, last_14d]\nservice_types: [my_service, preset]")
    done = program("report", "--config", config)
    assert names(done.stdout).count("Total") == 2 == done.stdout.count("╭")
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("Period")] == [
        "Period last_7d", "Period last_14d",
    ]  # fmt: skip


def test_what_one_service_type_lacks_is_no_zero_and_gives_no_total(cloud: Cloud, program: Program) -> None:
    def refuse(request: Request) -> Optional[Response]:
        asked = request.method == "POST" and json.loads(request.get_data())["service_type"] == 1
        return Response(b'{"error_msg": "no"}', 400) if asked else None

    cloud.always = refuse
    arguments = ("report", "--config", program.for_cloud(cloud, "ranges: [last_7d]"), "--service-type", "1", "2")
    done = program(*arguments)
    assert done.returncode == 0
    assert done.stderr.startswith("W! ")
    assert cells(done.stdout, "│ My Service") == cells(done.stdout, "│ Total  ") == ["-"] * 6
    assert "-" not in cells(done.stdout, "│ Preset Service")
    daily = program(*arguments, "--daily").stdout
    assert {cells(daily, f"│ {name}")[0] for name in (*names(daily), "Total  ")} == {"-"}
    (lacking, known) = csv.DictReader(program(*arguments, "--format", "csv").stdout.splitlines())
    assert (lacking["service_type"], lacking["total_tokens"], lacking["error_ratio"]) == ("my_service", "", "")
    assert int(known["total_tokens"]) > 0


def test_csv_and_json_carry_whole_tokens_and_times_with_their_offset(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"timezone: Asia/Shanghai\ntags: [team:a]\n{IN_ORDER}")
    arguments = ("report", "--config", config, "--last", "2d", "--daily", "--service-type", "2,1", "--format")
    done = program(*arguments, "csv")
    assert (done.returncode, done.stderr) == (0, "")
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.stdout.splitlines()[0] == (
        "region,project_id,tags,range,start,end,partial,service_type,infer_type,api_key_label,total_tokens,prompt_tokens,"
        "completion_tokens,requests,errors,completed_batch_tasks,inferences,error_ratio"
    )
    assert [(row["partial"], row["service_type"]) for row in table] == [
        (partial, name) for partial in ("true", "false", "true") for name in ("preset", "my_service")
    ]
    use = {
        (body["service_type"], body["start_time"]): summed([answer])
        for body, answer in zip(cloud.statistics(), cloud.answers)
    }
    for row in table:
        start = dt.datetime.fromisoformat(row["start"])
        assert start.utcoffset() == dt.timedelta(hours=8)
        assert dt.datetime.fromisoformat(row["end"]) > start
        kind = {"preset": 2, "my_service": 1}[row["service_type"]]
        assert [int(row[name]) for name in COUNTS] == use[kind, int(start.timestamp() * 1000)]
        assert (row["region"], row["tags"], row["api_key_label"]) == ("cn-southwest-2", "team:a", "")
    same = json.loads(program(*arguments, "json").stdout)
    assert [list(record) for record in same] == [list(row) for row in table]
    assert [type(same[0][name]) for name in (*COUNTS, "error_ratio", "partial")] == [int] * 5 + [float, bool]
    assert [record["total_tokens"] for record in same[2:4]] == [int(row["total_tokens"]) for row in table[2:4]]


def test_csv_of_several_instances_and_labels_tells_them_apart(cloud: Cloud, program: Program) -> None:
    keys = "per_api_key: true, api_keys: [team-search, '']"
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}, ranges: [last_7d]"
    config = program.config(f"instances:\n  - {{{entry}, {keys}, tags: ['n:1']}}\n  - {{{entry}, tags: ['n:2']}}\n")
    done = program("report", "--config", config, "--format", "csv", "--infer-type", "real_time")
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["tags"], row["api_key_label"]) for row in table] == [
        ("n:1", ""), ("n:1", "team-search"), ("n:1", "online_experience"), ("n:2", ""),
    ]  # fmt: skip
    assert table[0]["requests"] == table[3]["requests"] != table[1]["requests"]


@pytest.mark.parametrize(
    ("labels", "unknown"),
    [
        (["typo"], ["typo"]),
        (["team-search"], []),
        (["team-search", "typo", "", "batch-jobs", "wrong"], ["typo", "wrong"]),
        (["team-search", "batch-jobs"], []),
        (["", "typo"], ["typo"]),
    ],
)
@pytest.mark.parametrize("each", [False, True])
def test_a_label_without_a_call_may_be_unknown(
    cloud: Cloud, program: Program, labels: List[str], unknown: List[str], each: bool
) -> None:
    more = f"per_api_key: true\napi_keys: {json.dumps(labels)}" if each else ""
    config = program.for_cloud(cloud, f"ranges: [last_30d, last_7d]\n{more}")
    done = program("report", "--config", config, *([] if each else ["--api-keys", *labels]))
    assert done.returncode == 0
    # A label that is no tag is named by its place alone.
    places = [f"{labels.index(label) + 1} of {len(labels)}" + (f" ({label})" if each else "") for label in unknown]
    assert re.findall("^W! API key label (.*) had no call in the range: .*", done.stderr, re.MULTILINE) == places
    assert len(done.stderr.splitlines()) == len(unknown)
    if not each:
        # What was asked is three windows; each of several labels costs the two of the longest range more.
        assert len(cloud.statistics()) == 3 + (0 if len(labels) < 2 else 2 * len([label for label in labels if label]))


def test_a_label_of_which_nothing_is_known_is_not_called_unknown(cloud: Cloud, program: Program) -> None:
    def refuse(request: Request) -> Optional[Response]:
        asked = request.method == "POST" and json.loads(request.get_data())["api_keys"] == ["typo"]
        return Response(b'{"error_msg": "no"}', 400) if asked else None

    cloud.always = refuse
    config = program.for_cloud(cloud, "ranges: [last_7d]")
    done = program("report", "--config", config, "--api-keys", "team-search", "typo")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_label_is_not_called_unknown_over_a_range_of_which_nothing_is_kept(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "timezone: UTC")
    done = program("report", "--config", config, "--from", "2020-01-01", "--to", "2020-01-02", "--api-keys", "a", "b")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("W! cn-southwest-2: no values for 2020-01-01..2020-01-02")


def test_an_online_experience_that_nobody_used_is_no_unknown_label(cloud: Cloud, program: Program) -> None:
    names = "total_token total_prompt_token total_completion_token total_request_count total_error_count".split()
    nothing = json.dumps(dict.fromkeys(names, 0))
    cloud.always = lambda request: Response(nothing, 200) if request.method == "POST" else None
    done = program("report", "--config", program.for_cloud(cloud), "--last", "7d", "--api-keys", "")
    assert cells(done.stdout, "Total Requests") == ["0"]
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminal")
@pytest.mark.parametrize("service_types", [["2"], ["1", "2", "4"]])
@pytest.mark.parametrize("size", [[], ["--daily"], ["--hourly"]])
def test_a_narrow_terminal_shows_every_digit(
    cloud: Cloud, program: Program, service_types: List[str], size: List[str]
) -> None:
    config = program.for_cloud(cloud, "timezone: Asia/Shanghai\nmax_requests_per_minute: 200")
    arguments = ("report", "--config", config, "--last", "24h", *size, "--service-type", *service_types)
    plain = program(*arguments).stdout
    shown = on_a_terminal([*program.command, *arguments], 80, program.environ)
    lines = [line for line in shown.splitlines() if line.startswith(("╭", "│", "├", "╰"))]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    for row in [line for line in plain.splitlines() if re.match("│ (20|Total|My|11-)", line)]:
        for cell in row.split("│")[2:-1]:
            if re.search(r"\d", cell):
                assert cell.strip() in shown


def on_a_terminal(command: List[str], columns: int, environ: Dict[str, str]) -> str:
    import fcntl
    import pty
    import termios

    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {
        **{name: value for name, value in environ.items() if name not in ("COLUMNS", "NO_COLOR")},
        "TERM": "xterm",
    }
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.DEVNULL, env=environ)
    os.close(writer)
    chunks = []
    while True:
        try:
            chunk = os.read(reader, 65_536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(reader)
    assert process.wait(30) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(chunks).decode())


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
    assert done.returncode == 0
    assert done.stderr.startswith("W! API key label 1 of 1 (")
    assert "API key: ?" in done.stdout
    daily = program(
        "report", "--config", program.for_cloud(cloud), "--last", "3d", "--daily", PYTHONIOENCODING="cp1252"
    )
    assert "########" in daily.stdout
