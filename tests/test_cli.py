"""The command as a user or an agent runs it: what it prints, where, and its exit codes."""

from __future__ import annotations

import array
import contextlib
import fcntl
import io
import json
import os
import signal
import stat
import subprocess
import sys
import termios
from pathlib import Path
from typing import List, Tuple
from unittest import mock

import pytest
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families
from werkzeug import Response

from maas_usage_check import __version__
from maas_usage_check.cli import main
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.models import Models
from maas_usage_check.surfaces.terminal import for_people

from .conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from .program import only_line, skip_unless_processes


def measurements(text: str) -> List[str]:
    return [parse_line(line)["measurement"] for line in text.splitlines()]


def test_collect_prints_the_default_ranges_and_how_it_went(cloud: Cloud, program: Program) -> None:
    done = program("collect", "--config", program.for_cloud(cloud))
    assert (done.returncode, done.stderr) == (0, "")
    points = [(line["measurement"], line["tags"].get("range")) for line in map(parse_line, done.stdout.splitlines())]
    assert points[:3] == [("huawei_maas_usage", f"last_{days}d") for days in (7, 14, 30)]
    assert points[3:] == [("huawei_maas_api", None)]
    done = program("collect", "--config", program.for_cloud(cloud), "--format", "json")
    assert [json.loads(line)["measurement"] for line in done.stdout.splitlines()] == [name for name, _ in points]


def test_a_second_run_remembers_the_project_and_the_first_success(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    for run in (program.process, program):
        assert run("collect", "--config", config).returncode == 0
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


def test_credentials_file_readable_by_others(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"{AK},{SK}")
    config = program.for_cloud(cloud, f"credentials: {{source: file, path: {path}}}")
    remedy = f"others can read it: chown it to the user who runs this, and chmod 600 {path}\n"
    for mode, warning in ((0o644, remedy), (0o640, remedy), (0o600, "")):
        path.chmod(mode)
        done = program("collect", "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
        assert done.returncode == 0
        assert done.stderr == (warning and f"W! credentials file {path}: {warning}")
        assert warning in program("doctor", "--config", config).stdout


def test_a_plan_that_cannot_fit_the_rate_is_said_with_the_numbers(cloud: Cloud, program: Program) -> None:
    done = program(
        "collect", "--config", program.for_cloud(cloud, "max_requests_per_minute: 2\nproject_id: " + "d3m0" * 8)
    )
    assert "4 calls are planned per cycle, but 2 a minute" in done.stderr
    assert "2 will be left out" in done.stderr
    assert len(cloud.seen) == 2
    assert done.returncode == 0


def test_several_instances_at_one_time(cloud: Cloud, clock: FixedClock, program: Program) -> None:
    entries = [f"  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}, tags: ['n:{i}']}}\n" for i in range(3)]
    began, cloud.always = clock.now(), lambda request: clock.sleep(1)
    done = program("collect", "--config", program.config("instances:\n" + "".join(entries)))
    assert done.returncode == 0
    points = [parse_line(line) for line in done.stdout.splitlines()]
    assert [point["tags"]["n"] for point in points] == list("000011112222")
    assert {point["time"] / 1e9 for point in points} == {began}


def test_prometheus_output_replaces_its_file(cloud: Cloud, program: Program, tmp_path: Path) -> None:
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


def test_prometheus_output_drops_old_minutes(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    usage, live = tmp_path / "maas.prom", tmp_path / "maas.api.prom"
    config = program.for_cloud(cloud, "models: true")
    arguments = ("collect", "--config", config, "--format", "prometheus", "--output", str(usage))
    cloud.emulator.models = Models(busy=lambda model, start: True)
    assert program(*arguments).returncode == 0
    assert "huawei_maas_model_requests_per_minute" in live.read_text()
    cloud.always = lambda request: Response(status=500)
    assert program(*arguments).returncode == 1
    assert "huawei_maas_model" not in live.read_text()
    assert "huawei_maas_model" not in usage.read_text()


def test_prometheus_output_always_has_counters(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    usage = tmp_path / "maas.prom"
    config = program.for_cloud(cloud, f"project_id: {PROJECT_ID}\nhourly: true\nbackfill_days: 1")
    arguments = ("collect", "--config", config, "--format", "prometheus", "--output", str(usage))
    cloud.always = lambda request: Response(status=500)
    assert program(*arguments).returncode == 1
    first = usage.read_text()
    assert {line.split("{")[0] for line in first.splitlines() if line[0] != "#"} == {
        f"huawei_maas_consumed_{name}_total"
        for name in ("tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
    }
    assert "# TYPE huawei_maas_consumed_tokens_total counter" in first
    cloud.always = None
    assert program(*arguments).returncode == 0
    both = usage.read_text()
    assert "huawei_maas_usage_total_tokens" in both
    assert "huawei_maas_consumed_tokens_total" in both
    cloud.always = lambda request: Response(status=500)
    assert program(*arguments).returncode == 1
    assert usage.read_text() == both


def test_counters_without_a_key(cloud: Cloud, program: Program) -> None:
    arguments = ("collect", "--format", "prometheus", "--config", program.for_cloud(cloud, "hourly: true"))

    def counters(text: str) -> List[str]:
        return [line for line in text.splitlines() if line.startswith("huawei_maas_consumed")]

    without = program(*arguments, HW_ACCESS_KEY=None)
    assert (without.returncode, counters(without.stdout)) == (1, [])  # whose would they be
    first = program(*arguments)
    assert len(counters(first.stdout)) == 5
    without = program(*arguments, HW_ACCESS_KEY=None)
    assert (without.returncode, counters(without.stdout)) == (1, counters(first.stdout))


def test_warning_when_the_rate_is_too_low_for_the_hours(cloud: Cloud, program: Program) -> None:
    labels = ", ".join(f"label-{n}" for n in range(9))
    more = f"project_id: {PROJECT_ID}\nhourly: true\nbackfill_days: 2\nranges: [last_1d]\nper_api_key: true\n"
    for rate, warned in ((9, True), (10, False)):
        limits = f"api_keys: [{labels}]\nmin_collection_interval: 3600\nmax_requests_per_minute: {rate + 40}\n"
        done = program("collect", "--config", program.for_cloud(cloud, more + limits + "max_concurrency: 1"))
        lines = [line for line in done.stderr.splitlines() if "the hours of 10 series" in line]
        assert [line[:2] for line in lines] == ["W!"] * warned
        if warned:
            assert "take 40 calls an hour, but max_requests_per_minute of 49 leaves 39" in lines[0]
            assert "480 hours of the past may take 1 days" in lines[0]


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
        (["report", "--from", ""], "E! --from: no such date"),
        (["report", "--from", "2026-11-01", "--to", ""], "E! --to: no such date"),
        (["report", "--last", ""], "E! --last: must be a number of days or hours"),
        (["report", "--region", ""], "E! --region: must be"),
        (["report", "--config", ""], "cannot be read"),
        (["report", "--service-type", "\u00b2"], "E! --service-type: must be my_service"),
        (["demo", "--port", "x"], "--port: must be a port, 0 to 65535"),
        (["demo", "--port", "70000"], "--port: must be a port, 0 to 65535"),
        (["report", "--to", "2026-05-08"], "--to: needs --from"),
        (["report", "--last", "0d"], "E! --last: must be a number of days or hours"),
        (["report", "--from", "2026-02-30"], "E! --from: no such date"),
        (["report", "--from", "2026-02-01", "--to", "PLANTED"], "E! --to: no such date"),
        (["report", "--from", "2026-02-02", "--to", "2026-02-01"], "E! --to: `--to` must lie after `--from`"),
        (["report", "--from", "2999-01-01"], "E! --from: the range has not begun"),
        (["report", "--last", "7d", "--today"], "not allowed with"),
        (["report", "--service-type", "1,2", "preset"], "E! --service-type: is there already"),
        (["report", "--infer-type", "fast"], "E! --infer-type: must be real_time or batch"),
        (["report", "--api-keys", "a", "a"], "E! --api-keys: is there already"),
        (["report", "--credentials-file", ""], "E! --credentials-file: is empty"),
        (["report", "--region", "A B"], "E! --region: must be"),
        (["report", "--daily", "--hourly"], "--hourly: not allowed with argument --daily"),
        (["report", "--last", "49h", "--hourly"], "E! --hourly: the range is longer than 2 days"),
        (["report", "--raw", "--format", "csv"], "E! --raw: goes with the table alone"),
        (["collect", "--ak", "PLANTED"], "--ak: keys do not belong here"),
        (["report", "--secret-key=PLANTED"], "--secret-key: keys do not belong here"),
        (["report", "--token-of-mine", "PLANTED"], "--token-of-mine: not known"),
    ],
)
def test_wrong_arguments(program: Program, arguments: List[str], words: str) -> None:
    line = only_line(program(*arguments), 2)
    assert line.startswith("E! ")
    assert words in line
    assert "PLANTED" not in line


def test_error_names_option_or_path(program: Program) -> None:
    """Only what was typed is named as an option."""
    config = program.config("instances:\n  - {region: a}\n  - {region: A B}\n")
    typed = only_line(program("report", "--config", config, "--service-type", "3"), 2)
    assert typed.startswith("E! --service-type: must be")
    assert "instances[1].region: must be a region's id" in only_line(program("report", "--config", config), 2)


@pytest.mark.parametrize("command", ["collect", "execd", "report", "doctor", "serve"])
def test_a_wrong_configuration_runs_nothing_at_all(cloud: Cloud, program: Program, command: str) -> None:
    text = f"instances:\n  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}}}\n  - {{tags: ['n:1'], timeout: -1}}\n"
    line = only_line(program(command, "--config", program.config(text)), 2)
    assert "instances[1].timeout: must be greater than 0" in line
    assert cloud.seen == []


def test_sigterm_ends_a_collect_with_what_is_complete_in_whole_lines(cloud: Cloud, program: Program) -> None:
    cloud.hold(lambda request: request.method == "POST" and len(cloud.statistics()) > 2)
    process = program.start("collect", "--config", program.for_cloud(cloud, "max_concurrency: 1"))
    wait_for(lambda: len(cloud.statistics()) == 3, "the third question")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.endswith(b"\n")
    assert measurements(output.decode()) == ["huawei_maas_usage"] * 2 + ["huawei_maas_api"]
    assert b"signal" in errors


def test_a_reader_that_goes_away_is_no_traceback(cloud: Cloud, program: Program) -> None:
    process = program.start("collect", "--config", program.for_cloud(cloud))
    assert process.stdout
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr]
    assert process.wait(20) == 1


@pytest.mark.parametrize("command", ["collect", "execd", "report", "doctor"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://user:planted@127.0.0.1:3128", "TLS to the proxy itself is not spoken here"),
        ("socks5://user:planted@127.0.0.1:1080", "socks is not spoken here"),
        ("http://user:planted@127.0.0.1:port", "must be a URL of scheme, host and port"),
        ("http://user:planted@[::1", "must be a URL of scheme, host and port"),
    ],
)
def test_unusable_proxy(program: Program, command: str, url: str, why: str) -> None:
    done = program(command, "--config", program.config("instances: [{}]"), HTTPS_PROXY=url)
    line = only_line(done, 2)
    assert line.startswith(f"E! HTTPS_PROXY in the environment: {why}")
    assert "planted" not in line


def test_a_proxy_that_cannot_be_used_is_no_matter_where_none_is(cloud: Cloud, program: Program) -> None:
    assert program("collect", "--config", program.for_cloud(cloud), HTTPS_PROXY="https://p:1").returncode == 0


def test_quiet_says_nothing_on_standard_error_and_changes_nothing_else(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "ranges: [last_1d, last_2h]")  # the second earns a warning
    wrong = program.config("instances: [{regoin: x}]", "wrong.yaml")
    for code, options in (
        (0, {}),
        (1, {"HW_SECRET_KEY": "wrong"}),
        (1, {"HW_ACCESS_KEY": None}),
    ):
        loud = program("collect", "--config", config, **options)
        quiet = program("collect", "--config", config, "--quiet", **options)
        assert loud.stderr != quiet.stderr == ""
        assert loud.returncode == quiet.returncode == code
        assert measurements(quiet.stdout) == measurements(loud.stdout) != []
    done = program("collect", "--config", wrong, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_exit_zero_is_in_the_place_of_1_and_of_no_other_code(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    wrong = program.config("instances: [{regoin: x}]", "wrong.yaml")
    done = program("collect", "--config", config, "--exit-zero", HW_SECRET_KEY="wrong")
    assert (done.returncode, measurements(done.stdout)) == (0, ["huawei_maas_api"])
    assert done.stderr.startswith("E! cn-southwest-2: the signature was refused")
    assert program("collect", "--config", wrong, "--exit-zero").returncode == 2
    assert program("collect", "--exit-zero").returncode == 2
    assert program("report", "--exit-zero").returncode == 2
    assert on_a_full_disk(program, "collect", "--config", config, "--exit-zero") == (0, FULL)


FULL = "E! standard output cannot be written (No space left on device); check where it goes\n"


def on_a_full_disk(program: Program, *arguments: str) -> Tuple[int, str]:
    """Run the command line in this process; return its exit code and what it said."""
    said = io.StringIO()
    with open("/dev/full", "w") as full, open(os.devnull, "w") as null, contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.dict(os.environ, program.environ))
        patches.enter_context(mock.patch.multiple(sys, stdout=for_people(full), stderr=said))
        code = main(arguments, program.runtime)
        os.dup2(null.fileno(), full.fileno())  # for what is still in the buffer
    return code, said.getvalue()


@pytest.mark.parametrize("command", ["report", "report --raw", "doctor", "demo", "assets", "--help", "collect"])
def test_a_full_standard_output_is_one_line_and_exit_code_1(cloud: Cloud, program: Program, command: str) -> None:
    first, *more = command.split()
    given = [str(program.folder / "assets")] if first == "assets" else []
    if first in ("report", "doctor", "collect"):
        given = ["--config", program.for_cloud(cloud)]
    assert on_a_full_disk(program, first, *more, *given) == (1, FULL)


def test_a_process_ends_with_the_same_code(program: Program) -> None:
    skip_unless_processes()
    with open("/dev/full", "wb") as full:
        command = [*program.command, "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=program.environ, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (1, FULL)


@pytest.mark.parametrize(
    ("command", "process"),
    [
        *(
            (command, False)
            for command in ("report", "report --last 7d --daily", "doctor", "collect", "assets", "demo")
        ),
        *((command, True) for command in ("report --last 7d --daily", "collect", "assets")),
    ],
)
def test_ascii_terminal(cloud: Cloud, program: Program, command: str, process: bool) -> None:
    folder = program.folder / "\u7528\u91cf"
    folder.mkdir()
    config = folder / "conf.yaml"
    Path(program.for_cloud(cloud, "tags: ['team:\u641c\u7d22']")).rename(config)
    first, *more = command.split()
    given = {"assets": [str(folder)], "demo": []}.get(first, ["--config", str(config)])
    if process:
        done = program.process(first, *more, *given, LC_ALL="C", PYTHONIOENCODING=None)
    else:
        done = program(first, *more, *given, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_tilde_in_a_path_is_the_home_folder(cloud: Cloud, program: Program) -> None:
    (program.folder / "key").write_text(f"{AK},{SK}")
    (program.folder / "key").chmod(0o600)
    program.for_cloud(cloud, "state_dir: ~/mine\ncredentials: {source: file, path: ~/key}")
    none = {"HW_ACCESS_KEY": None, "HW_SECRET_KEY": None}
    assert program("collect", "--config=~/conf.yaml", "--output=~/out", **none).returncode == 0
    assert (program.folder / "mine" / "maas-usage-check.sqlite3").exists()
    assert measurements((program.folder / "out").read_text())
    program.for_cloud(cloud)
    assert program("report", "--config=~/conf.yaml", "--credentials-file=~/key", **none).returncode == 0
    assert program("assets", "~/assets").returncode == 0
    assert (program.folder / "assets").is_dir()


def test_a_state_folder_that_others_can_write_is_warned_of(cloud: Cloud, program: Program) -> None:
    folder = program.folder / "state-of-all"
    folder.mkdir()
    config = program.for_cloud(cloud, f"state_dir: {folder}")
    for mode, said in ((0o777, f"W! state_dir {folder}: others can write to {folder}, and"), (0o700, "")):
        folder.chmod(mode)
        done = program("collect", "--config", config)
        assert done.returncode == 0
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == bool(said)


def test_version_and_help_are_answered(program: Program) -> None:
    assert program("--version").stdout == f"maas-usage-check {__version__}\n"
    assert "maas-usage-check report --last 7d" in program("--help").stdout


def test_processes_that_run_at_once_keep_to_the_limit_together(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "max_requests_per_minute: 6\nproject_id: " + "d3m0" * 8)
    for process in [program.start("collect", "--config", config) for _ in range(3)]:
        process.communicate(timeout=30)
    assert len(cloud.seen) == 6


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_output_must_be_a_file(cloud: Cloud, program: Program, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "device":  # one of the test's own: where the code is wrong this machine's would be lost
        if os.getuid() != 0:
            pytest.skip("only root can make a device")
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = path.stat()
    done = program("collect", "--config", program.for_cloud(cloud), "--output", str(path))
    assert only_line(done, 2).startswith(f"E! --output: {path} is not a regular file")
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert cloud.seen == []


@pytest.mark.parametrize("command", ["collect", "execd"])
def test_sigterm_while_nobody_reads(cloud: Cloud, program: Program, command: str) -> None:
    many = ", ".join(f"last_{hours}h" for hours in range(3, 40))  # more lines than this pipe holds
    process = program.start(command, "--config", program.for_cloud(cloud, f"ranges: [{many}]"))
    assert process.stdin
    assert process.stdout
    holds = fcntl.fcntl(process.stdout, 1031, 4096)  # F_SETPIPE_SZ
    process.stdin.write(b"\n")
    held = array.array("i", [0])

    def full() -> bool:
        fcntl.ioctl(process.stdout, termios.FIONREAD, held)  # type: ignore[arg-type]
        return held[0] == holds

    wait_for(full, "the pipe to be full")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1
    errors = process.stderr.read().decode()  # type: ignore[union-attr]
    assert "Traceback" not in errors
    assert "nobody reads standard output" in errors
