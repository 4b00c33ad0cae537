"""`report` of a total by service type: asked as a range is; its options, tables, CSV and JSON."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from functools import partial
from typing import Any, List, Sequence

import pytest
from werkzeug import Response

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.amounts import abbreviate_tokens, format_tokens, usage_cells
from maas_usage_check.config.ranges import DAY
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_usage import SimulatedUsage

from ..conftest import Cloud, Program
from ..program import only_line, skip_unless_processes
from .conftest import (
    COUNTS,
    Report,
    counts,
    first_column,
    parse_csv,
    row_cells,
    table_lines,
    true_usage,
    without_colors,
)


def test_format_tokens() -> None:
    """Tokens are formatted as in Huawei's script."""
    written = ["2,482.08 M tokens", "1.00 M tokens", "1,000.00 K tokens", "0.00 K tokens"]
    assert [format_tokens(count) for count in (2_482_084_980, 1_000_000, 999_999, 0)] == written


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


def test_more_errors_than_requests() -> None:
    assert usage_cells(Usage(1000, 0, 0, 1, 2))[-1] == "-"


@pytest.mark.parametrize("size", [(), ("--daily",), ("--by", "model"), ("--by", "key", "--api-keys", "team-search")])
def test_default_period(report: Report, size: Sequence[str]) -> None:
    """The default of every view is the last 7 days, whatever ranges the file has."""
    report.yaml = "ranges: [last_14d, last_30d]\nmax_requests_per_minute: 80000"
    report.cloud.emulator.requests_per_minute = 10**6
    assert report.document(*size)["period"]["name"] == "last_7d"


def test_total(cloud: Cloud, report: Report) -> None:
    """The total is that of exactly this window, in one request."""
    done = report()
    assert (done.returncode, done.stderr) == (0, "")
    assert "MaaS Preset Service Usage Statistics - Region: cn-southwest-2" in done.stdout
    (body,) = cloud.statistics()
    assert body["end_time"] - body["start_time"] == 7 * DAY
    total, _, _, requests, errors = sum_responses(cloud.responses)
    assert row_cells(done.stdout, "Total Tokens") == [format_tokens(total)]
    assert row_cells(done.stdout, "Total Requests") == [f"{requests:,}"]
    assert row_cells(done.stdout, "Total Errors") == [f"{errors:,}"]
    assert row_cells(done.stdout, "Error Rate") == [f"{errors / requests:.2%}"]
    assert "Period: 2026-11-16 12:30:00 ~ 2026-11-23 12:30:00 (UTC)\n" in done.stdout


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


def test_partial_range(report: Report) -> None:
    report.yaml = "timezone: Asia/Shanghai"
    assert "\nPeriod: 2026-11-23 00:00:00 ~ 2026-11-23 20:30:00 (CST) - part of the day\n" in report("--today").stdout
    assert "part" not in report("--yesterday").stdout


def test_service_types(cloud: Cloud, report: Report) -> None:
    """Several service types have a row each and a total in one table."""
    done = report("--service-type", "1,2", "custom_endpoint")
    assert done.stdout.count("╭") == 1
    kinds = {"My Service": 1, "Preset Service": 2, "Custom Endpoint": 4}
    assert first_column(done.stdout)[1:] == [*kinds, "Total"]
    assert sorted(body["service_type"] for body in cloud.statistics()) == [1, 2, 4]
    window = ("2026-11-16T13:00:00+00:00", "2026-11-23T13:00:00+00:00")
    for name, chosen in [*((name, [kind]) for name, kind in kinds.items()), ("Total", [1, 2, 4])]:
        usage = true_usage(cloud, *window, service_types=chosen)
        cells = [*map(abbreviate_tokens, usage[:3]), f"{usage[3]:,}", f"{usage[4]:,}", f"{usage[4] / usage[3]:.2%}"]
        assert row_cells(done.stdout, f"│ {name} ") == cells


def test_failed_service_type(cloud: Cloud, report: Report) -> None:
    """A service type whose query failed is not a zero, and there is no total."""
    cloud.responder = refuse(service_type=1)
    report.yaml = "service_types: [1, 2]"
    done = report()
    assert done.returncode == 0
    assert done.stderr.startswith("W! ")
    assert row_cells(done.stdout, "│ My Service") == row_cells(done.stdout, "│ Total  ") == ["-"] * 6
    assert "-" not in row_cells(done.stdout, "│ Preset Service")
    (failed, known) = report.csv()
    assert (failed["service_type"], failed["total_tokens"], failed["error_ratio"]) == ("my_service", "", "")
    assert int(known["total_tokens"]) > 0
    assert set(report.document()["total"].values()) == {None}
    cloud.responder = refuse()
    document = json.loads(report("--format", "json").stdout)
    assert (document["covered_ratio"], {row["requests"] for row in document["rows"]}) == (0.0, {None})


def test_csv_and_json(cloud: Cloud, report: Report) -> None:
    """CSV and JSON have the same rows, in whole tokens, and times with UTC offset; JSON has the total too."""
    report.yaml = "timezone: Asia/Shanghai\ntags: [team:a]\nservice_types: [2, 1]\ninfer_types: [real_time, batch]"
    done = report("--yesterday", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = parse_csv(done.stdout)
    assert done.stdout.splitlines()[0] == (
        "region,project_id,tags,period,start,end,partial,covered_ratio,service_type,infer_type,total_tokens,"
        "prompt_tokens,completion_tokens,requests,errors,completed_batch_tasks,inferences,error_ratio"
    )
    kinds = [("preset", "real_time"), ("my_service", "real_time"), ("preset", "batch"), ("my_service", "batch")]
    assert [(row["service_type"], row["infer_type"]) for row in rows] == kinds
    for row in rows:
        kind = {"preset": 2, "my_service": 1}[row["service_type"]]
        window = ("2026-11-22T00:00:00+08:00", "2026-11-23T00:00:00+08:00")
        assert (row["start"], row["end"], row["period"]) == (*window, "yesterday")
        assert counts(row) == true_usage(cloud, *window, service_types=[kind], infer_type=row["infer_type"])
        assert [row[name] for name in ("region", "project_id", "tags", "partial", "covered_ratio")] == [
            "cn-southwest-2", PROJECT_ID, "team:a", "false", "1.0",
        ]  # fmt: skip
    document = report.document("--yesterday")
    assert list(document) == ["period", "covered_ratio", "rows", "total"]
    assert document["period"] == {"name": "yesterday", "start": rows[0]["start"], "end": rows[0]["end"]}
    same = document["rows"]
    assert [list(record) for record in same] == [list(row) for row in rows]
    assert [type(same[0][name]) for name in (*COUNTS, "error_ratio", "partial")] == [int] * 5 + [float, bool]
    assert [counts(record) for record in same] == [counts(row) for row in rows]
    assert counts(document["total"]) == [sum(column) for column in zip(*map(counts, rows))]


def test_csv_of_several_instances(cloud: Cloud, program: Program) -> None:
    """Rows name the tags of their instance. Labels are parts of the whole, and in no column with it."""
    keys = "per_api_key: true, api_keys: [team-search, '']"
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(f"instances:\n  - {{{entry}, {keys}, tags: ['n:1']}}\n  - {{{entry}, tags: ['n:2']}}\n")
    rows = parse_csv(program("report", "--config", config, "--format", "csv", "--infer-type", "real_time").stdout)
    assert [row["tags"] for row in rows] == ["n:1", "n:2"]
    assert rows[0]["requests"] == rows[1]["requests"]


@pytest.mark.parametrize(
    ("labels", "unknown"),
    [
        (["typo"], ["typo"]),
        (["team-search", "typo", "", "batch-jobs", "wrong"], ["typo", "wrong"]),
        (["team-search", "batch-jobs"], []),
    ],
)
@pytest.mark.parametrize("options", [["--last", "30d"], ["--last", "2d", "--daily"], ["--last", "2d", "--by", "key"]])
def test_unused_label(cloud: Cloud, report: Report, labels: List[str], unknown: List[str], options: List[str]) -> None:
    """A label without calls may be unknown."""
    cloud.emulator.requests_per_minute = 10**6
    report.yaml = "max_requests_per_minute: 80000"
    done = report("--api-keys", *labels, *options)
    assert done.returncode == 0
    # A label that is not shown is named by its position only.
    shown = "key" in options
    positions = [f"{labels.index(label) + 1} of {len(labels)}" + (f" ({label})" if shown else "") for label in unknown]
    assert re.findall("^W! API key label (.*) had no call in the range: .*", done.stderr, re.MULTILINE) == positions
    assert len(done.stderr.splitlines()) == len(unknown)


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
@pytest.mark.parametrize("size", [[], ["--daily"], ["--hourly"], ["--by", "key", "--api-keys", "team-search"]])
def test_narrow_terminal(report: Report, service_types: List[str], size: List[str]) -> None:
    """A narrow terminal shows every digit."""
    report.yaml = "timezone: Asia/Shanghai\nmax_requests_per_minute: 80000"
    report.cloud.emulator.requests_per_minute = 10**6
    options = ("--last", "24h", *size, "--service-type", *service_types)
    plain = report(*options).stdout
    shown = report.on_terminal(80, *options)
    table_lines(shown, 80)
    for row in [line for line in plain.splitlines() if re.match("│ (20|Total|My|11-|team)", line)]:
        for cell in row.split("│")[2:-1]:
            if re.search(r"\d", cell):
                assert cell.strip() in shown


def test_terminal_width(program: Program, report: Report) -> None:
    """The width is that of the terminal itself."""
    skip_unless_processes()
    report.cloud.emulator.requests_per_minute = 10**6
    report.yaml = "max_requests_per_minute: 80000"
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
    for options in (["--daily"], ["--hourly"], ["--by", "key", "--api-keys", "a"]):
        assert "--raw: shows the answer about one window" in only_line(report("--raw", *options), 2)


@pytest.mark.parametrize(("last", "cover"), [("60d", "50.0%"), ("30d", ""), ("999999d", "0.0%")])
def test_range_past_retention(report: Report, last: str, cover: str) -> None:
    """A warning says how much of a range the cloud still keeps."""
    report.yaml = "timezone: Asia/Shanghai"
    done = report("--last", last)
    text = f"W! last_{last}: reaches past the 30 days that the cloud keeps; the numbers cover {cover} of it\n"
    assert (done.returncode, done.stderr) == (0, text if cover else "")
    assert "Period: 2026-10-24 20:30:00 ~ 2026-11-23 20:30:00 (CST)" in done.stdout
    (row,) = report.csv("--last", last)
    assert float(row["covered_ratio"]) == pytest.approx(30 / int(last[:-1]))
    assert row["partial"] == ("true" if cover else "false")


def test_markup(cloud: Cloud, report: Report) -> None:
    """A name that looks like markup is printed literally."""
    report.yaml = "max_requests_per_minute: 80000"
    for size in ([], ["--daily"]):
        assert " [bold] " in report("--last", "1d", "--by", "key", "--api-keys", "[bold]", *size).stdout


def test_unknown_host_zone(cloud: Cloud, program: Program, report: Report) -> None:
    line = only_line(program.process(*report.arguments("--last", "7d"), TZ="CST-8"), 2)
    assert line.startswith("E! timezone: the host's zone")
    assert cloud.requests == []


def test_ascii_terminal(report: Report) -> None:
    """A terminal without block characters gets a plain table."""
    report.yaml = "per_api_key: true\napi_keys: ['\u4e2d', team-search]\nmax_requests_per_minute: 80000"
    report.cloud.emulator.requests_per_minute = 10**6
    done = report("--last", "3d", "--daily", "--by", "key", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert done.stderr.startswith("W! API key label 1 of 2 (")
    assert re.search(r"^. Day +. +[?] . team-search . Other keys . ", done.stdout, re.MULTILINE)
    assert "########" in done.stdout


def test_later_options(report: Report) -> None:
    """Options of later versions are refused; renamed ones are unknown."""
    assert "--bill: unknown option" in only_line(report("--bill"), 2)
    assert "--models: unknown option" in only_line(report("--models"), 2)
