"""`report` by range, day, hour, service type and API key label; as table, CSV and JSON."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import termios
from functools import partial
from typing import Any, List

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from rich.console import Console
from werkzeug import Response

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.amounts import abbreviate_tokens, format_tokens
from maas_usage_check.commands.report.periods import Layout, is_long, make_layout
from maas_usage_check.commands.report.usage_rows import UsageRow
from maas_usage_check.commands.report.usage_tables import print_usage_tables
from maas_usage_check.config import load_instance
from maas_usage_check.config.ranges import DAY, HOUR, clip
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_usage import SimulatedUsage

from ..conftest import Cloud, Program
from ..program import only_line, skip_unless_processes
from .conftest import COUNTS, ZONES, Report, ZoneInfo, first_column, parse_csv, row_cells, table_lines, without_colors


def test_format_tokens() -> None:
    """Tokens are formatted as in Huawei's script."""
    written = ["2,482.08 M tokens", "1.00 M tokens", "1,000.00 K tokens", "0.00 K tokens"]
    assert [format_tokens(count) for count in (2_482_084_980, 1_000_000, 999_999, 0)] == written


def layout_for(name: Any, zone: str, now: float, size: str) -> Layout:
    return make_layout(load_instance({"ranges": [name], "timezone": zone}, {}, "x", now), size, int(now * 1000))


@pytest.mark.parametrize(("size", "form"), [("day", "%Y-%m-%d"), ("hour", "%Y-%m-%dT%H:00")])
@given(
    st.sampled_from(["last_1h", "last_48h", "last_60d", "this_month", "today", "yesterday"]),
    st.sampled_from(ZONES),
    st.one_of(st.integers(1_700_000_000, 1_900_000_000), st.integers(1_793_400_000, 1_793_800_000)),
)
@example("last_1h", "Australia/Lord_Howe", 1_806_764_401)
def test_periods(size: str, form: str, name: str, zone: str, now: int) -> None:
    """Days and hours adjoin, and cover the part of a range that the cloud keeps."""

    def named(at: int) -> str:
        moment = dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
        return moment.strftime(form) + (moment.isoformat()[-6:] if size == "hour" else "")

    layout = layout_for(name, zone, now, size)
    assume(layout.periods)
    windows = clip(layout.configured.ranges[0].window(now * 1000, layout.configured.zone), now * 1000).windows
    assert (layout.periods[0].start, layout.periods[-1].end) == (windows[0].start, windows[-1].end)
    assert all(one.end == other.start for one, other in zip(layout.periods, layout.periods[1:]))
    assert len({period.name for period in layout.periods}) == len(layout.periods)
    for period in layout.periods:
        # A period is whole if the name changes both at its start and at its end, whatever the clocks did in between.
        edges = [{named(at + step) for step in (-1, 0)} for at in (period.start, period.end)]
        assert period.partial is not all(len(names) == 2 for names in edges)
        assert period.name == named(period.start) == named(period.end - 1)
    row_windows = [each.window(now * 1000, layout.configured.zone) for each in layout.queried.ranges]
    assert [(window.start, window.end) for window in row_windows] == [(each.start, each.end) for each in layout.periods]


def test_day_of_25_hours() -> None:
    """When the clocks are set back, the day has 25 hours with distinct names."""
    now = dt.datetime(2026, 11, 2, 12, tzinfo=ZoneInfo("America/New_York")).timestamp()
    layout = layout_for("yesterday", "America/New_York", now, "hour")
    assert [period.name[11:] for period in layout.periods][:4] == [
        "00:00-04:00",
        "01:00-04:00",
        "01:00-05:00",
        "02:00-05:00",
    ]
    assert len(layout.periods) == 25
    assert not any(period.partial for period in layout.periods)
    output = io.StringIO()
    usage = Usage(1000, 900, 100, 10, 1)
    print_usage_tables(
        Console(file=output, width=200),
        layout,
        [UsageRow(period, "preset", "real_time", "", usage) for period in layout.periods],
    )
    assert first_column(output.getvalue())[:4] == ["11-01 00:00", "11-01 01:00 EDT", "11-01 01:00 EST", "11-01 02:00"]
    assert row_cells(output.getvalue(), "│ Total  ")[0] == "25.00 K"


@pytest.mark.parametrize(
    ("since", "until", "long"),
    [
        ("2026-10-31", "2026-11-02", False),
        ("2026-10-31", "2026-11-02T01:00:00", True),
        ("2026-10-29", "2026-10-31", False),
        ("2026-10-29", "2026-10-31T01:00:00", True),
    ],
)
def test_is_long(since: str, until: str, long: bool) -> None:
    """Two local days are not a long range, even with 49 hours."""
    now = dt.datetime(2026, 11, 3, tzinfo=ZoneInfo("America/New_York")).timestamp()
    layout = layout_for({"name": "x", "from": since, "to": until}, "America/New_York", now, "hour")
    assert is_long(layout) is long
    assert not is_long(layout_for({"name": "x", "from": since, "to": until}, "America/New_York", now, "day"))


IN_ORDER = f"project_id: {PROJECT_ID}\nmax_concurrency: 1"
"""Requests and responses are recorded in the same order."""


def sum_responses(responses: List[Any]) -> List[int]:
    """Add up the responses of the cloud, whose tokens are in thousands."""
    statistics = [response for response in responses if "total_token" in response]
    kinds = [(name, 1000) for name in ("total_token", "total_prompt_token", "total_completion_token")]
    kinds += [("total_request_count", 1), ("total_error_count", 1)]
    return [sum(round(response[name] * unit) for response in statistics) for name, unit in kinds]


def refuse(**body: Any) -> Any:
    """Respond with 400 to the statistics requests with these values in their body."""
    response = Response(b'{"error_msg": "no"}', 400)
    return lambda request: response if body.items() <= (request.get_json(silent=True) or {}).items() else None


def test_default(cloud: Cloud, report: Report) -> None:
    """The default is the last 7 days of the preset service."""
    report.yaml = "ranges: [last_7d]"
    done = report()
    assert done.returncode == 0, done.stderr
    assert "MaaS Preset Service Usage Statistics - Region: cn-southwest-2" in done.stdout
    total, _, _, requests, errors = sum_responses(cloud.responses)
    assert row_cells(done.stdout, "Total Tokens") == [format_tokens(total)]
    assert row_cells(done.stdout, "Total Requests") == [f"{requests:,}"]
    assert row_cells(done.stdout, "Total Errors") == [f"{errors:,}"]
    assert row_cells(done.stdout, "Error Rate") == [f"{errors / requests:.2%}"]
    assert "2026-11-16 12:30:00 ~ 2026-11-23 12:30:00 (UTC)" in done.stdout


def test_from_and_to(cloud: Cloud, report: Report) -> None:
    """--from and --to are local midnights; the day of --to is not counted."""
    report.yaml = "timezone: Asia/Shanghai"
    done = report("--from", "2026-11-13", "--to", "2026-11-20")
    assert "Period: 2026-11-13 00:00:00 ~ 2026-11-20 00:00:00 (CST)" in done.stdout
    (body,) = cloud.statistics()
    assert body["end_time"] - body["start_time"] == 7 * DAY


def test_filters(cloud: Cloud, report: Report) -> None:
    """The options of Huawei's script filter, and override the file."""
    report.yaml = "service_types: [preset]"
    done = report("--last", "3d", "--service-type", "4", "--infer-type", "batch", "--api-keys", "a", "b")
    assert done.returncode == 0
    assert "MaaS Custom Endpoint (batch) Usage Statistics" in done.stdout
    (body,) = [body for body in cloud.statistics() if len(body["api_keys"]) == 2]
    assert (body["service_type"], body["infer_type"], body["api_keys"]) == (4, "batch", ["a", "b"])


def test_daily(cloud: Cloud, report: Report) -> None:
    """--daily shows a row and a bar per day, and the rows add up."""
    report.yaml = "timezone: Asia/Shanghai"
    daily = report("--last", "7d", "--daily").stdout
    rows = [line.split("│") for line in daily.splitlines() if line.startswith("│ 20")]
    assert len(rows) == 8
    assert max(row[7].count("█") for row in rows) == 8
    total = sum_responses(cloud.responses)
    assert row_cells(daily, "│ Total  ") == [
        *map(abbreviate_tokens, total[:3]),
        f"{total[3]:,}",
        f"{total[4] / total[3]:.2%}",
        "",
    ]
    assert row_cells(daily, "Error rate") == ["Total", "Prompt", "Completion", "Requests", "Error rate", ""]
    assert "\nPeriod: 2026-11-16 20:30:00 ~ 2026-11-23 20:30:00 (CST)\n" in daily
    assert "--daily: shows one range" in only_line(report("--daily"), 2)


def test_partial_days(report: Report) -> None:
    """A row that covers only a part of its day is marked."""
    report.yaml = "timezone: Asia/Shanghai"
    days = ["2026-11-18 (part)", *(f"2026-11-{day}" for day in range(19, 23)), "2026-11-23 (part)"]
    assert first_column(report("--last", "5d", "--daily").stdout) == days
    assert "\nPeriod: 2026-11-23 00:00:00 ~ 2026-11-23 20:30:00 (CST) - part of the day\n" in report("--today").stdout
    yesterday = report("--yesterday", "--daily").stdout
    assert "part" not in yesterday
    assert first_column(yesterday) == ["2026-11-22"]


def test_hourly(cloud: Cloud, report: Report) -> None:
    """--hourly shows a row per hour, and the rows add up."""
    report.yaml = "timezone: Asia/Kathmandu"
    done = report("--last", "24h", "--hourly")
    assert (done.returncode, done.stderr) == (0, "")
    whole = [*(f"11-22 {hour}:00" for hour in range(19, 24)), *(f"11-23 {hour:02}:00" for hour in range(18))]
    assert first_column(done.stdout) == ["11-22 18:00 (part)", *whole, "11-23 18:00 (part)"]
    assert row_cells(done.stdout, "│ Total  ")[3] == f"{sum_responses(cloud.responses)[3]:,}"
    lengths = [body["end_time"] - body["start_time"] for body in cloud.statistics()]
    assert sorted(lengths) == [HOUR // 4, 3 * HOUR // 4, *[HOUR] * 23]
    assert row_cells(report("--last", "24h").stdout, "Service Type") == ["Preset Service"]


def test_service_types(cloud: Cloud, report: Report) -> None:
    """Several service types have a row each and a total in one table."""
    report.yaml = f"ranges: [last_7d]\n{IN_ORDER}"
    done = report("--service-type", "1,2", "custom_endpoint")
    assert done.stdout.count("╭") == 1
    kinds = {"My Service": 1, "Preset Service": 2, "Custom Endpoint": 4}
    assert first_column(done.stdout)[1:] == [*kinds, "Total"]
    bodies = [body["service_type"] for body in cloud.statistics()]
    assert sorted(bodies) == [1, 2, 4]
    for name, chosen in [*((name, [kind]) for name, kind in kinds.items()), ("Total", [1, 2, 4])]:
        usage = sum_responses([response for kind, response in zip(bodies, cloud.responses) if kind in chosen])
        counts = [*map(abbreviate_tokens, usage[:3]), f"{usage[3]:,}", f"{usage[4]:,}", f"{usage[4] / usage[3]:.2%}"]
        assert row_cells(done.stdout, f"│ {name} ") == counts


def test_service_types_daily(cloud: Cloud, report: Report) -> None:
    """With --daily, several service types have a column each and a total."""
    report.yaml = f"service_types: [my_service, custom_endpoint]\n{IN_ORDER}"
    done = report("--last", "3d", "--daily")
    assert row_cells(done.stdout, "│ Day")[:3] == ["My Service", "Custom Endpoint", "Total"]
    kinds = [body["service_type"] for body in cloud.statistics()]
    columns = [
        sum_responses([response for kind, response in zip(kinds, cloud.responses) if kind == one]) for one in (1, 4)
    ]
    columns.append(sum_responses(cloud.responses))
    assert row_cells(done.stdout, "│ Total  ")[:4] == [
        *(abbreviate_tokens(column[0]) for column in columns),
        f"{columns[2][3]:,}",
    ]


def test_overlapping_ranges(report: Report) -> None:
    """Ranges that overlap are never added up."""
    report.yaml = "ranges: [last_7d, last_14d]\nservice_types: [my_service, preset]"
    done = report()
    assert first_column(done.stdout).count("Total") == 2 == done.stdout.count("╭")
    assert re.findall("^(Period.*?):", done.stdout, re.MULTILINE) == ["Period last_7d", "Period last_14d"]


def test_failed_service_type(cloud: Cloud, report: Report) -> None:
    """A service type whose query failed is not a zero, and there is no total."""
    cloud.responder = refuse(service_type=1)
    report.yaml = "ranges: [last_7d]\nservice_types: [1, 2]"
    done = report()
    assert done.returncode == 0
    assert done.stderr.startswith("W! ")
    assert row_cells(done.stdout, "│ My Service") == row_cells(done.stdout, "│ Total  ") == ["-"] * 6
    assert "-" not in row_cells(done.stdout, "│ Preset Service")
    daily = report("--daily").stdout
    assert {row_cells(daily, f"│ {name}")[0] for name in (*first_column(daily), "Total  ")} == {"-"}
    (failed, known) = report.csv()
    assert (failed["service_type"], failed["total_tokens"], failed["error_ratio"]) == ("my_service", "", "")
    assert int(known["total_tokens"]) > 0


def test_csv_and_json(cloud: Cloud, report: Report) -> None:
    """CSV and JSON have whole tokens, and times with UTC offset."""
    report.yaml = f"timezone: Asia/Shanghai\ntags: [team:a]\nservice_types: [2, 1]\n{IN_ORDER}"
    done = report("--last", "2d", "--daily", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = parse_csv(done.stdout)
    assert done.stdout.splitlines()[0] == (
        "region,project_id,tags,range,start,end,partial,service_type,infer_type,api_key_label,total_tokens,prompt_tokens,"
        "completion_tokens,requests,errors,completed_batch_tasks,inferences,error_ratio"
    )
    assert [tuple(row[name] for name in ("start", "end", "partial", "service_type")) for row in rows] == [
        (f"2026-11-{start}:00+08:00", f"2026-11-{end}:00+08:00", partial, name)
        for start, end, partial in (
            ("21T20:30", "22T00:00", "true"),
            ("22T00:00", "23T00:00", "false"),
            ("23T00:00", "23T20:30", "true"),
        )
        for name in ("preset", "my_service")
    ]
    usage = {
        (body["service_type"], body["start_time"]): sum_responses([response])
        for body, response in zip(cloud.statistics(), cloud.responses)
    }
    for row in rows:
        start = int(dt.datetime.fromisoformat(row["start"]).timestamp() * 1000)
        assert [int(row[name]) for name in COUNTS] == usage[{"preset": 2, "my_service": 1}[row["service_type"]], start]
        assert (row["region"], row["tags"], row["api_key_label"]) == ("cn-southwest-2", "team:a", "")
    same = report.json("--last", "2d", "--daily")
    assert [list(record) for record in same] == [list(row) for row in rows]
    assert [type(same[0][name]) for name in (*COUNTS, "error_ratio", "partial")] == [int] * 5 + [float, bool]
    assert [record["total_tokens"] for record in same] == [int(row["total_tokens"]) for row in rows]


def test_csv_of_several_instances(cloud: Cloud, program: Program) -> None:
    """CSV has the tags of each instance and the labels of API keys."""
    keys = "per_api_key: true, api_keys: [team-search, '']"
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}, ranges: [last_7d]"
    config = program.config(f"instances:\n  - {{{entry}, {keys}, tags: ['n:1']}}\n  - {{{entry}, tags: ['n:2']}}\n")
    rows = parse_csv(program("report", "--config", config, "--format", "csv", "--infer-type", "real_time").stdout)
    assert [(row["tags"], row["api_key_label"]) for row in rows] == [
        ("n:1", ""), ("n:1", "team-search"), ("n:1", "online_experience"), ("n:2", ""),
    ]  # fmt: skip
    assert rows[0]["requests"] == rows[3]["requests"] != rows[1]["requests"]


@pytest.mark.parametrize(
    ("labels", "unknown"),
    [
        (["typo"], ["typo"]),
        (["team-search", "typo", "", "batch-jobs", "wrong"], ["typo", "wrong"]),
        (["team-search", "batch-jobs"], []),
    ],
)
@pytest.mark.parametrize("each", [False, True])
def test_unused_label(cloud: Cloud, report: Report, labels: List[str], unknown: List[str], each: bool) -> None:
    """A label without calls may be unknown."""
    report.yaml = "ranges: [last_30d, last_7d]\n"
    report.yaml += f"per_api_key: true\napi_keys: {json.dumps(labels)}" if each else ""
    done = report(*([] if each else ["--api-keys", *labels]))
    assert done.returncode == 0
    # A label that is not a tag is named by its position only.
    positions = [f"{labels.index(label) + 1} of {len(labels)}" + (f" ({label})" if each else "") for label in unknown]
    assert re.findall("^W! API key label (.*) had no call in the range: .*", done.stderr, re.MULTILINE) == positions
    assert len(done.stderr.splitlines()) == len(unknown)
    if not each:
        # The report needs three windows; each of several labels adds the two of the longest range.
        assert len(cloud.statistics()) == 3 + (0 if len(labels) < 2 else 2 * len([label for label in labels if label]))


def test_label_without_answer(cloud: Cloud, report: Report) -> None:
    """A label is not called unknown unless a query for it succeeded."""
    past = ("--from", "2020-01-01", "--to", "2020-01-02")  # no longer kept by the cloud
    line = only_line(report(*past, "--api-keys", "a", "b"), 1)
    assert line.startswith("W! cn-southwest-2: no values for 2020-01-01..2020-01-02")
    cloud.responder = refuse(api_keys=["typo"])
    done = report("--last", "7d", "--api-keys", "team-search", "typo")
    assert (done.returncode, done.stderr) == (0, "")


def test_unused_online_experience(cloud: Cloud, report: Report) -> None:
    """An unused online experience is not an unknown label."""
    cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    done = report("--last", "7d", "--api-keys", "")
    assert row_cells(done.stdout, "Total Requests") == ["0"]
    assert done.stderr == ""


@pytest.mark.parametrize("service_types", [["2"], ["1", "2", "4"]])
@pytest.mark.parametrize("size", [[], ["--daily"], ["--hourly"]])
def test_narrow_terminal(report: Report, service_types: List[str], size: List[str]) -> None:
    """A narrow terminal shows every digit."""
    report.yaml = "timezone: Asia/Shanghai\nmax_requests_per_minute: 200"
    options = ("--last", "24h", *size, "--service-type", *service_types)
    plain = report(*options).stdout
    shown = report.on_terminal(80, *options)
    table_lines(shown, 80)
    for row in [line for line in plain.splitlines() if re.match("│ (20|Total|My|11-)", line)]:
        for cell in row.split("│")[2:-1]:
            if re.search(r"\d", cell):
                assert cell.strip() in shown


def test_terminal_width(program: Program, report: Report) -> None:
    """The width is that of the terminal itself."""
    skip_unless_processes()
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    environ = {name: value for name, value in program.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [*program.command, *report.arguments("--last", "3d", "--daily", "--service-type", "1", "2", "4")]
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.DEVNULL, env={**environ, "TERM": "xterm"})
    os.close(writer)
    shown = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        for chunk in iter(partial(os.read, reader, 65_536), b""):
            shown += chunk
    os.close(reader)
    assert process.wait(30) == 0
    assert table_lines(without_colors(shown.decode()), 80)


def test_raw(report: Report) -> None:
    """--raw shows the API's own responses."""
    answers: Any = json.loads(report("--last", "30d", "--raw").stdout.split("Raw API Response:")[1])
    assert len(answers) == 2
    assert {"total_token", "total_request_count"} <= set(answers[0]["data"])


@pytest.mark.parametrize(
    ("last", "size", "cover"),
    [("60d", [], "50.0%"), ("60d", ["--daily"], "50.0%"), ("30d", ["--daily"], ""), ("999999d", [], "0.0%")],
)
def test_range_past_retention(report: Report, last: str, size: List[str], cover: str) -> None:
    """A warning says how much of a range the cloud still keeps."""
    report.yaml = "timezone: Asia/Shanghai"
    done = report("--last", last, *size)
    text = f"W! last_{last}: reaches past the 30 days that the cloud keeps; the numbers cover {cover} of it\n"
    assert (done.returncode, done.stderr) == (0, text if cover else "")
    assert "Period: 2026-10-24 20:30:00 ~ 2026-11-23 20:30:00 (CST)" in done.stdout


def test_markup(report: Report) -> None:
    """A name that looks like markup is printed literally."""
    report.yaml = "ranges: [{name: '[red]x[/red]', from: '2026-11-01'}]\nper_api_key: true\napi_keys: ['[bold]']"
    assert "API key: [bold]" in report().stdout


def test_unknown_host_zone(cloud: Cloud, program: Program, report: Report) -> None:
    line = only_line(program.process(*report.arguments("--last", "7d"), TZ="CST-8"), 2)
    assert line.startswith("E! timezone: the host's zone")
    assert cloud.requests == []


def test_ascii_terminal(report: Report) -> None:
    """A terminal without block characters gets a plain table."""
    report.yaml = "per_api_key: true\napi_keys: ['\u4e2d', team-search]\ntimezone: Asia/Shanghai"
    done = report("--last", "3d", "--daily", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert done.stderr.startswith("W! API key label 1 of 2 (")
    assert "API key: ?" in done.stdout
    assert "########" in done.stdout
