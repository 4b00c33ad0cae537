"""The command line as users and agents run it: output, errors, exit codes."""

from __future__ import annotations

import array
import contextlib
import fcntl
import io
import os
import re
import signal
import stat
import sys
import termios
from pathlib import Path
from typing import List, Tuple
from unittest import mock

import pytest
from line_protocol_parser import parse_line
from werkzeug import Response

from maas_usage_check import __version__
from maas_usage_check.cli import main
from maas_usage_check.commands.stdout_writer import wrap_stdout
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from .conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from .program import only_line


def measurements(text: str) -> List[str]:
    return [parse_line(line)["measurement"] for line in text.splitlines()]


def test_project_is_looked_up_once(cloud: Cloud, program: Program) -> None:
    """A second run takes the project id from the state."""
    config = program.cloud_config(cloud)
    for run in (program.process, program):
        assert run("collect", "--config", config).returncode == 0
    assert [request.method for request in cloud.requests].count("GET") == 1


def test_several_instances(cloud: Cloud, clock: FixedClock, program: Program) -> None:
    """The points of all instances have the start of the cycle as their time."""
    entries = [f"  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}, tags: ['n:{i}']}}\n" for i in range(3)]
    started, cloud.responder = clock.now(), lambda request: clock.sleep(1)
    done = program("collect", "--config", program.config("instances:\n" + "".join(entries)))
    assert done.returncode == 0
    points = [parse_line(line) for line in done.stdout.splitlines()]
    assert [point["tags"]["n"] for point in points] == list("000011112222")
    assert {point["time"] / 1e9 for point in points} == {started}


def test_prometheus_output(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """After a failed cycle totals and counters stay, and live metrics are removed."""
    usage, live = tmp_path / "maas.prom", tmp_path / "maas.api.prom"
    config = program.cloud_config(cloud, f"project_id: {PROJECT_ID}\nhourly: true\nbackfill_days: 1\nmodels: true")
    cloud.emulator.models = SimulatedModels(busy=lambda model, start: True)
    arguments = ("collect", "--config", config, "--format", "prometheus", "--output", str(usage))
    cloud.responder = lambda request: Response(status=500)
    assert program(*arguments).returncode == 1
    first = usage.read_text()
    assert {line.split("{")[0] for line in first.splitlines() if line[0] != "#"} == {
        f"huawei_maas_consumed_{name}_total"
        for name in ("tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
    }
    assert "# TYPE huawei_maas_consumed_tokens_total counter" in first
    cloud.responder = None
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (0, "")
    both = usage.read_text()
    assert "huawei_maas_usage_total_tokens" in both
    assert "huawei_maas_consumed_tokens_total" in both
    assert not re.search("huawei_maas_api|huawei_maas_model_requests_per_minute", both)
    assert "huawei_maas_model_requests_per_minute" in live.read_text()
    assert {path.stat().st_mode & 0o777 for path in (usage, live)} == {0o644}
    cloud.responder = lambda request: Response(status=500)
    assert program(*arguments).returncode == 1
    assert usage.read_text() == both
    assert re.search("^huawei_maas_api_up{.*} 0", live.read_text(), re.MULTILINE)
    assert "huawei_maas_model" not in live.read_text()


def test_counters_without_a_key(cloud: Cloud, program: Program) -> None:
    """Without an access key the stored counters of the project are written, once there are any."""
    arguments = ("collect", "--format", "prometheus", "--config", program.cloud_config(cloud, "hourly: true"))

    def counters(text: str) -> List[str]:
        return [line for line in text.splitlines() if line.startswith("huawei_maas_consumed")]

    without = program(*arguments, HW_ACCESS_KEY=None)
    assert (without.returncode, counters(without.stdout)) == (1, [])
    first = program(*arguments)
    assert len(counters(first.stdout)) == 5
    without = program(*arguments, HW_ACCESS_KEY=None)
    assert (without.returncode, counters(without.stdout)) == (1, counters(first.stdout))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--quiet"], "the following arguments are required: COMMAND"),
        (["collect", "--config", "missing.yaml"], "missing.yaml: cannot be read"),
        (["collect", "--config", "x", "--deadline", "0"], "--deadline"),
        (["reprot", "--last", "7d"], "E! unknown command `reprot`: did you mean `report`?"),
        (["REPORT"], "E! unknown command `REPORT`: did you mean `report`?"),
        (["col"], "E! unknown command `col`: did you mean `collect`?"),
        (["x"], "E! unknown command; commands: collect, execd, "),
        (["--quiet", "colect"], "E! unknown command `colect`: did you mean `collect`?"),
        (["--config", "PLANTED.yaml", "docter"], "E! unknown command `docter`: did you mean `doctor`?"),
        (["--config", "PLANTED.yaml", "doctor"], "E! --config: write the command before it: maas-usage-check doctor "),
        (["--quiet=PLANTED", "collect"], "E! --quiet: write the command before it: maas-usage-check collect "),
        (["--secret-key", "PLANTED", "collect"], "--secret-key: access keys do not belong here"),
        (["reportPLANTED"], "E! unknown command: did you mean `report`?"),
        (["HW_SECRET_KEY=PLANTED", "report"], "E! unknown command; commands: collect, execd, "),
        (["report", "PLANTED"], "E! unexpected argument; see maas-usage-check report --help"),
        (["report", "--service-type", "\u00b2"], "E! --service-type: must be my_service"),
        (["demo", "--port", "x"], "--port: must be a port, 0 to 65535"),
        (["demo", "--port", "70000"], "--port: must be a port, 0 to 65535"),
        (["report", "--to", "2026-05-08"], "--to: needs --from"),
        (["report", "--last", "0d"], "E! --last: must be a number of days or hours"),
        (["report", "--from", "2026-02-30"], "E! --from: no such date"),
        (["report", "--from", "2026-02-01", "--to", "PLANTED"], "E! --to: no such date"),
        (["report", "--from", "2026-02-02", "--to", "2026-02-01"], "E! --to: `--to` must lie after `--from`"),
        (["report", "--from", "2999-01-01"], "E! --from: the range has not begun"),
        (["report", "--service-type", "1,2", "preset"], "E! --service-type: duplicate entry"),
        (["report", "--infer-type", "fast"], "E! --infer-type: must be real_time or batch"),
        (["report", "--api-keys", "a", "a"], "E! --api-keys: duplicate entry"),
        (["report", "--credentials-file", ""], "E! --credentials-file: is empty"),
        (["report", "--region", "A B"], "E! --region: must be"),
        (["report", "--daily", "--hourly"], "--hourly: not allowed with argument --daily"),
        (["report", "--raw", "--format", "csv"], "E! --raw: works only with --format table"),
        (["collect", "--ak", "PLANTED"], "--ak: access keys do not belong here"),
        (["report", "--secret-key=PLANTED"], "--secret-key: access keys do not belong here"),
        (
            ["report", "--token-of-mine", "PLANTED"],
            "E! --token-of-mine: unknown option; see maas-usage-check report --help",
        ),
    ],
)
def test_wrong_arguments(program: Program, arguments: List[str], text: str) -> None:
    line = only_line(program(*arguments), 2)
    assert line.startswith("E! ")
    assert text in line
    assert "PLANTED" not in line


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(program: Program, arguments: List[str]) -> None:
    """Without arguments the help is shown, on standard output."""
    done = program(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: maas-usage-check ")
    assert "maas-usage-check collect --config conf.yaml" in done.stdout


def test_error_names_option_or_path(program: Program) -> None:
    """An error names the option if it was typed, else the path in the file."""
    config = program.config("instances:\n  - {region: a}\n  - {region: A B}\n")
    line = only_line(program("report", "--config", config, "--service-type", "3"), 2)
    assert line == "E! --service-type: must be my_service (1), preset (2) or custom_endpoint (4)"
    assert "instances[1].region: must be a region's id" in only_line(program("report", "--config", config), 2)


@pytest.mark.parametrize("command", ["collect", "execd", "report", "doctor", "serve"])
def test_wrong_configuration(cloud: Cloud, program: Program, command: str) -> None:
    """One wrong instance prevents all requests."""
    text = f"instances:\n  - {{endpoint: {cloud.url}, iam_endpoint: {cloud.url}}}\n  - {{tags: ['n:1'], timeout: -1}}\n"
    line = only_line(program(command, "--config", program.config(text)), 2)
    assert "instances[1].timeout: must be greater than 0" in line
    assert cloud.requests == []


def test_closed_pipe(cloud: Cloud, program: Program) -> None:
    process = program.start("collect", "--config", program.cloud_config(cloud))
    assert process.stdout
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr]
    assert process.wait(20) == 1


@pytest.mark.parametrize(
    ("command", "url", "reason"),
    [
        ("collect", "https://user:planted@127.0.0.1:3128", "TLS to the proxy itself is not supported"),
        ("execd", "socks5://user:planted@127.0.0.1:1080", "SOCKS proxies are not supported"),
        ("report", "http://user:planted@127.0.0.1:port", "must be a URL of scheme, host and port"),
        ("doctor", "http://user:planted@[::1", "must be a URL of scheme, host and port"),
    ],
)
def test_unusable_proxy(program: Program, command: str, url: str, reason: str) -> None:
    done = program(command, "--config", program.config("instances: [{}]"), HTTPS_PROXY=url)
    line = only_line(done, 2)
    assert line.startswith(f"E! HTTPS_PROXY in the environment: {reason}")
    assert "planted" not in line


def test_unusable_proxy_for_loopback(cloud: Cloud, program: Program) -> None:
    """Requests that need no proxy ignore an unusable one."""
    assert program("collect", "--config", program.cloud_config(cloud), HTTPS_PROXY="https://p:1").returncode == 0


def test_quiet(cloud: Cloud, program: Program) -> None:
    """`--quiet` empties standard error and changes nothing else."""
    config = program.cloud_config(cloud, "ranges: [last_1d, last_2h]")  # last_2h causes a warning
    wrong = program.config("instances: [{regoin: x}]", "wrong.yaml")
    for code, options in ((0, {}), (1, {"HW_SECRET_KEY": "wrong"})):
        loud = program("collect", "--config", config, **options)
        quiet = program("collect", "--config", config, "--quiet", **options)
        assert loud.stderr != quiet.stderr == ""
        assert loud.returncode == quiet.returncode == code
        assert measurements(quiet.stdout) == measurements(loud.stdout) != []
    done = program("collect", "--config", wrong, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_exit_zero(cloud: Cloud, program: Program) -> None:
    """`--exit-zero` replaces exit code 1 and no other."""
    config = program.cloud_config(cloud)
    wrong = program.config("instances: [{regoin: x}]", "wrong.yaml")
    done = program("collect", "--config", config, "--exit-zero", HW_SECRET_KEY="wrong")
    assert (done.returncode, measurements(done.stdout)) == (0, ["huawei_maas_api"])
    assert done.stderr.startswith("E! cn-southwest-2: the signature was refused")
    assert program("collect", "--config", wrong, "--exit-zero").returncode == 2
    assert run_on_full_disk(program, "collect", "--config", config, "--exit-zero") == (0, FULL)


FULL = "E! standard output cannot be written (No space left on device); check where it goes\n"


def run_on_full_disk(program: Program, *arguments: str) -> Tuple[int, str]:
    """Run the command line in this process; return the exit code and standard error."""
    errors = io.StringIO()
    with open("/dev/full", "w") as full, open(os.devnull, "w") as null, contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.dict(os.environ, program.environ))
        patches.enter_context(mock.patch.multiple(sys, stdout=wrap_stdout(full), stderr=errors))
        code = main(arguments, program.runtime)
        os.dup2(null.fileno(), full.fileno())  # for data still in the buffer
    return code, errors.getvalue()


def command_line(command: str, config: str) -> List[str]:
    """Add the arguments of a command: the configuration, or a folder for `assets`."""
    arguments = {"assets": [str(Path(config).parent)], "demo": [], "--help": []}
    return [*command.split(), *arguments.get(command, ["--config", config])]


@pytest.mark.parametrize("command", ["report", "report --raw", "doctor", "demo", "assets", "--help", "collect"])
def test_full_disk(cloud: Cloud, program: Program, command: str) -> None:
    """A full standard output is one line on standard error and exit code 1."""
    assert run_on_full_disk(program, *command_line(command, program.cloud_config(cloud))) == (1, FULL)


def test_full_disk_of_a_process(program: Program) -> None:
    program.command = ["sh", "-c", 'exec "$@" > /dev/full', "sh", *program.command]
    assert only_line(program.process("--help"), 1) == FULL.strip()


@pytest.mark.parametrize("command", ["report --last 1d --daily", "doctor", "collect", "assets", "demo"])
def test_ascii_terminal(cloud: Cloud, program: Program, command: str) -> None:
    """Characters that the terminal cannot encode are no error."""
    folder = program.folder / "\u7528\u91cf"
    folder.mkdir()
    config = folder / "conf.yaml"
    Path(program.cloud_config(cloud, "tags: ['team:\u641c\u7d22']")).rename(config)
    done = program(*command_line(command, str(config)), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_tilde_in_paths(cloud: Cloud, program: Program) -> None:
    """A tilde is the home folder; a credentials file overrides the environment."""
    (program.folder / "key").write_text(f"{AK},{SK}")
    (program.folder / "key").chmod(0o600)
    program.cloud_config(cloud, "state_dir: ~/mine\ncredentials: {source: file, path: ~/key}")
    no_key = {"HW_ACCESS_KEY": None, "HW_SECRET_KEY": None}
    assert program("collect", "--config=~/conf.yaml", "--output=~/out", **no_key).returncode == 0
    assert (program.folder / "mine" / "maas-usage-check.sqlite3").exists()
    assert measurements((program.folder / "out").read_text())
    program.cloud_config(cloud)
    done = program("report", "--config=~/conf.yaml", "--credentials-file=~/key", HW_SECRET_KEY="wrong")
    assert (done.returncode, done.stderr) == (0, "")
    assert program("assets", "~/assets").returncode == 0
    assert (program.folder / "assets").is_dir()


def test_world_writable_state_folder(cloud: Cloud, program: Program) -> None:
    """A state folder that others can write to causes a warning."""
    folder = program.folder / "shared-state"
    folder.mkdir()
    folder.chmod(0o777)
    done = program("collect", "--config", program.cloud_config(cloud, f"state_dir: {folder}"))
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"W! state_dir {folder}: others can write to {folder}, and")


def test_version_and_help(program: Program) -> None:
    assert program("--version").stdout == f"maas-usage-check {__version__}\n"
    assert "maas-usage-check report --last 7d" in program("--help").stdout


def test_rate_limit_of_several_processes(cloud: Cloud, program: Program) -> None:
    """Concurrent processes share one rate limit."""
    config = program.cloud_config(cloud, "max_requests_per_minute: 6\nproject_id: " + "d3m0" * 8)
    for process in [program.start("collect", "--config", config) for _ in range(3)]:
        process.communicate(timeout=30)
    assert len(cloud.requests) == 6


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_output_to_a_device_or_pipe(cloud: Cloud, program: Program, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "device":  # not /dev/null itself: wrong code would replace it
        if os.getuid() != 0:
            pytest.skip("only root can create a device")
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        os.mkfifo(path)
    before = path.stat()
    done = program("collect", "--config", program.cloud_config(cloud), "--output", str(path))
    assert only_line(done, 2).startswith(f"E! --output: {path} is not a regular file")
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert cloud.requests == []


@pytest.mark.parametrize("command", ["collect", "execd"])
def test_sigterm_while_stdout_is_blocked(cloud: Cloud, program: Program, command: str) -> None:
    many = ", ".join(f"last_{hours}h" for hours in range(3, 40))  # more lines than the pipe's buffer
    process = program.start(command, "--config", program.cloud_config(cloud, f"ranges: [{many}]"))
    assert process.stdin
    assert process.stdout
    capacity = fcntl.fcntl(process.stdout, 1031, 4096)  # F_SETPIPE_SZ
    process.stdin.write(b"\n")
    unread = array.array("i", [0])

    def is_full() -> bool:
        fcntl.ioctl(process.stdout, termios.FIONREAD, unread)  # type: ignore[arg-type]
        return unread[0] == capacity

    wait_for(is_full, "the pipe to be full")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1
    errors = process.stderr.read().decode()  # type: ignore[union-attr]
    assert "Traceback" not in errors
    assert "standard output is not being read" in errors
