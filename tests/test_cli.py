"""The command as a user or an agent runs it: a process of its own, real HTTP, real exit codes."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import List

import pytest
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families
from werkzeug import Response

from maas_usage_check import __version__

from .conftest import AK, SK, Cloud, Program, wait_for


def measurements(text: str) -> List[str]:
    return [parse_line(line)["measurement"] for line in text.splitlines()]


def test_collect_prints_the_default_ranges_and_how_it_went(cloud: Cloud, program: Program) -> None:
    done = program("collect", "--config", program.for_cloud(cloud))
    assert (done.returncode, done.stderr) == (0, "")
    assert measurements(done.stdout) == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert [parse_line(line)["tags"].get("range") for line in done.stdout.splitlines()] == [
        "last_7d", "last_14d", "last_30d", None,
    ]  # fmt: skip


def test_a_second_process_remembers_the_project_and_the_first_success(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    program("collect", "--config", config)
    program("collect", "--config", config)
    assert [request.method for request in cloud.seen].count("GET") == 1


def test_a_wrong_key_is_exit_code_1_with_the_api_point_and_the_diagnosis_first(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    first = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    second = program("collect", "--config", config, HW_SECRET_KEY="wrong")
    for done, words in ((first, "the signature was refused"), (second, "nothing is asked for another 5 min")):
        assert done.returncode == 1
        assert measurements(done.stdout) == ["huawei_maas_api"]
        assert done.stderr.splitlines()[0].startswith("E! cn-southwest-2: ")
        assert words in done.stderr.splitlines()[0]
        assert len(done.stderr.splitlines()[0].encode()) < 512
    assert len(cloud.seen) == 1
    assert program("collect", "--config", config).returncode == 0


def test_missing_credentials_are_exit_code_1_and_name_the_variables(cloud: Cloud, program: Program) -> None:
    done = program("collect", "--config", program.for_cloud(cloud), HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert done.returncode == 1
    assert "HW_ACCESS_KEY and HW_SECRET_KEY not set" in done.stderr
    assert parse_line(done.stdout.strip())["fields"]["result_code"] == 2
    assert cloud.seen == []


def test_part_of_a_cycle_is_exit_code_0_with_a_warning(cloud: Cloud, program: Program) -> None:
    cloud.instead = [lambda request: Response(b'{"error_msg": "no"}', 400)]
    done = program("collect", "--config", program.for_cloud(cloud, "project_id: " + "d3m0" * 8))
    assert done.returncode == 0
    assert done.stderr.startswith("W! ")
    assert measurements(done.stdout) == ["huawei_maas_usage"] * 2 + ["huawei_maas_api"]


def test_a_credentials_file_that_others_can_read_earns_a_warning(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"{AK},{SK}")
    path.chmod(0o644)
    config = program.for_cloud(cloud, f"credentials: {{source: file, path: {path}}}")
    done = program("collect", "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert done.returncode == 0
    assert done.stderr == f"W! credentials file {path} can be read by everyone on this machine: chmod 600 {path}\n"


def test_a_plan_that_cannot_fit_the_rate_is_said_with_the_numbers(cloud: Cloud, program: Program) -> None:
    done = program(
        "collect", "--config", program.for_cloud(cloud, "max_requests_per_minute: 2\nproject_id: " + "d3m0" * 8)
    )
    assert "4 calls are planned per cycle, but 2 a minute" in done.stderr
    assert "2 will be left out" in done.stderr
    assert len(cloud.seen) == 2
    assert done.returncode == 0


def test_several_instances_are_collected_side_by_side(cloud: Cloud, program: Program) -> None:
    entries = [f"  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}, tags: ['n:{i}']}}\n" for i in range(3)]
    done = program("collect", "--config", program.config("instances:\n" + "".join(entries)))
    assert done.returncode == 0
    assert [line["tags"]["n"] for line in map(parse_line, done.stdout.splitlines())] == list("000011112222")


def test_prometheus_output_replaces_one_file_and_keeps_it_when_nothing_was_got(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    usage, api = tmp_path / "maas.prom", tmp_path / "maas.api.prom"
    arguments = ("collect", "--config", program.for_cloud(cloud), "--format", "prometheus", "--output", str(usage))
    assert program(*arguments).stdout == ""
    before = usage.read_text()
    names = {family.name for family in text_string_to_metric_families(before)}
    assert "huawei_maas_usage_total_tokens" in names
    assert not any(name.startswith("huawei_maas_api") for name in names)
    assert {path.stat().st_mode & 0o777 for path in (usage, api)} == {0o644}
    assert program(*arguments, HW_SECRET_KEY="wrong").returncode == 1
    assert usage.read_text() == before
    up = {family.name: family for family in text_string_to_metric_families(api.read_text())}["huawei_maas_api_up"]
    assert up.samples[0].value == 0
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == []


def test_all_points_of_a_run_carry_the_same_time(cloud: Cloud, program: Program) -> None:
    entries = [f"  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}, tags: ['n:{i}']}}\n" for i in range(12)]
    done = program("collect", "--config", program.config("instances:\n" + "".join(entries)))
    assert len({parse_line(line)["time"] for line in done.stdout.splitlines()}) == 1


def test_json_output_holds_the_same_points(cloud: Cloud, program: Program) -> None:
    done = program("collect", "--config", program.for_cloud(cloud), "--format", "json")
    assert [json.loads(line)["measurement"] for line in done.stdout.splitlines()][-1] == "huawei_maas_api"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required"),
        (["collect"], "--config"),
        (["collect", "--config", "missing.yaml"], "missing.yaml: cannot be read"),
        (["collect", "--config", "x", "--format", "xml"], "--format"),
        (["collect", "--config", "x", "--deadline", "0"], "--deadline"),
        (["nonsense"], "the first argument is no command; there are collect"),
        (["HW_SECRET_KEY=PLANTED", "report"], "the first argument is no command"),
        (["report", "PLANTED"], "an argument without an option: not known"),
        (["report", "--from", ""], "arguments.ranges[0]: no such date"),
        (["report", "--from", "2026-11-01", "--to", ""], "arguments.ranges[0]: no such date"),
        (["report", "--to", ""], "--to: needs --from"),
        (["report", "--last", ""], "arguments.ranges[0]: not a range"),
        (["report", "--region", ""], "arguments.region: must be"),
        (["report", "--credentials-file", ""], "--credentials-file: is empty"),
        (["report", "--config", ""], "cannot be read"),
        (["report", "--service-type", "\u00b2"], "arguments.service_types[0]: must be my_service"),
        (["demo", "--port", "x"], "--port: must be a port, 0 to 65535"),
        (["demo", "--port", "70000"], "--port: must be a port, 0 to 65535"),
        (["report", "--to", "2026-05-08"], "--to: needs --from"),
        (["report", "--last", "week"], "arguments.ranges[0]: not a range"),
        (["report", "--from", "2026-02-30"], "arguments.ranges[0]: no such date"),
        (["report", "--last", "7d", "--today"], "not allowed with"),
        (["report", "--service-type", "3"], "arguments.service_types[0]: must be my_service"),
        (["report", "--region", "A B"], "arguments.region: must be"),
        (["collect", "--ak", "PLANTED"], "--ak: keys do not belong here"),
        (["report", "--secret-key=PLANTED"], "--secret-key: keys do not belong here"),
        (["report", "--token-of-mine", "PLANTED"], "--token-of-mine: not known"),
    ],
)
def test_wrong_arguments_are_one_line_exit_code_2_and_nothing_on_standard_output(
    program: Program, arguments: List[str], words: str
) -> None:
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("E! ")
    assert words in done.stderr
    assert "PLANTED" not in done.stderr


@pytest.mark.parametrize("command", [["collect"], ["execd"], ["report"]])
def test_a_wrong_configuration_runs_nothing_at_all(cloud: Cloud, program: Program, command: List[str]) -> None:
    text = f"instances:\n  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}}}\n  - {{tags: ['n:1'], timeout: -1}}\n"
    done = program(*command, "--config", program.config(text))
    assert (done.returncode, done.stdout) == (2, "")
    assert "instances[1].timeout: must be greater than 0" in done.stderr
    assert cloud.seen == []


def test_sigterm_ends_a_collect_with_what_is_complete_in_whole_lines(cloud: Cloud, program: Program) -> None:
    cloud.hold(lambda request: request.method == "POST" and len(cloud.statistics()) > 2)
    process = program.start("collect", "--config", program.for_cloud(cloud))
    wait_for(lambda: len(cloud.statistics()) >= 3, "the third question")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - began < 1
    assert process.returncode == 0
    assert output.endswith(b"\n")
    assert measurements(output.decode())[-1] == "huawei_maas_api"
    assert b"signal" in errors


def test_a_host_that_swallows_everything_does_not_hold_the_process_past_its_deadline(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        config = program.config(f"instances:\n  - {{endpoint: {url}, iam_endpoint: {url}}}\n")
        began = time.monotonic()
        done = program("collect", "--config", config, "--deadline", "0.5")
        assert time.monotonic() - began < 2
    assert done.returncode == 1
    assert "no answer within the deadline of 0.5 s" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(cloud: Cloud, program: Program) -> None:
    process = program.start("collect", "--config", program.for_cloud(cloud))
    assert process.stdout
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr]
    assert process.wait(10) == 1


def test_version_and_help_are_answered(program: Program) -> None:
    assert program("--version").stdout == f"maas-usage-check {__version__}\n"
    assert "maas-usage-check report --from" in program("--help").stdout


def test_many_processes_at_once_with_a_wrong_key_do_not_lock_it(cloud: Cloud, program: Program) -> None:
    cloud.always = lambda request: time.sleep(0.3)  # type: ignore[assignment,return-value,func-returns-value]
    config = program.for_cloud(cloud)
    processes = [program.start("collect", "--config", config, HW_SECRET_KEY="wrong") for _ in range(8)]
    for process in processes:
        output, _ = process.communicate(timeout=30)
        assert measurements(output.decode()) == ["huawei_maas_api"]
    assert len(cloud.seen) == 1
    assert cloud.emulator.times_locked == 0


def test_processes_that_run_at_once_keep_to_the_limit_together(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "max_requests_per_minute: 6\nproject_id: " + "d3m0" * 8)
    for process in [program.start("collect", "--config", config) for _ in range(3)]:
        process.communicate(timeout=30)
    assert len(cloud.seen) == 6
