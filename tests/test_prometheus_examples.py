"""The units, the cron line and the configuration that Prometheus users copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import List

import pytest
import yaml

from maas_usage_check.cloud import Statistics
from maas_usage_check.config import load, load_file

from .agents.programs import ROOT, find
from .conftest import AK, SK, Cloud, Program

EXAMPLES = ROOT / "examples" / "prometheus"
UNITS = [EXAMPLES / f"maas-usage-check.{kind}" for kind in ("service", "timer")]
NOON = 1_795_435_200_000
SERVICE = (EXAMPLES / "maas-usage-check.service").read_text(encoding="utf-8")


def setting(name: str) -> str:
    (found,) = [line.partition("=")[2] for line in SERVICE.splitlines() if line.startswith(f"{name}=")]
    return found


@pytest.mark.parametrize(
    "command", [["verify"], ["security", "--offline=true", "--threshold=15", "--no-pager"]], ids=["verify", "security"]
)
def test_systemd_finds_the_units_right_and_little_exposed(tmp_path: Path, command: List[str]) -> None:
    systemd = find("systemd-analyze", "Debian package systemd")
    program = setting("ExecStart").split()[0]
    shutil.copy(EXAMPLES / "maas-usage-check.timer", tmp_path)
    unit = tmp_path / "maas-usage-check.service"
    unit.write_text(SERVICE.replace(program, "/bin/true"), encoding="utf-8")
    timer = [str(tmp_path / "maas-usage-check.timer")] if command == ["verify"] else []
    done = subprocess.run([systemd, *command, str(unit), *timer], capture_output=True, encoding="utf-8", timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "maas-usage-check" not in done.stderr


def test_cron_and_systemd_run_the_same_command() -> None:
    (line,) = [line for line in (EXAMPLES / "maas-usage-check.cron").read_text().splitlines() if line.startswith("*/5")]
    assert line.split(None, 6)[6] == setting("ExecStart")


def test_the_configuration_asks_15_calls_a_cycle_and_15_more_for_each_label() -> None:
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    assert len(Statistics().plan(instance, NOON).queries) == 15
    text = (EXAMPLES / "conf.yaml").read_text()
    (by_key,) = load(yaml.safe_load(re.sub("# (?=api_keys|per_api_key)", "", text)), NOON / 1000)
    assert len(Statistics().plan(by_key, NOON).queries) == 15 + 15 * len(by_key.api_keys or ())
    assert len(by_key.api_keys or ()) > 1


def test_what_the_service_needs_is_made_by_its_comment_and_named_by_the_configuration() -> None:
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    user, comment = setting("User"), SERVICE.split("[Unit]")[0]
    assert f"install -o {user} -m 600 credentials {instance.credentials.path}\n" in comment
    assert f"--home-dir {instance.state_dir} --shell /usr/sbin/nologin {user}\n" in comment
    assert instance.state_dir == f"/var/lib/{setting('StateDirectory')}"
    assert f"*/5 * * * * {user} " in (EXAMPLES / "maas-usage-check.cron").read_text()


REMEDIES = [
    command
    for text in [(EXAMPLES / "alerts.yml").read_text(), SERVICE]
    for command in re.findall(r"runuser -u maas-usage -- [^`\n]+", text)
]


def test_the_remedies_name_what_is_there() -> None:
    alerts = (EXAMPLES / "alerts.yml").read_text()
    assert len(REMEDIES) == 2
    assert "maas-usage-check report" not in alerts
    (units,) = set(re.findall(r"'(maas-usage-check\S*)'", alerts))
    ours = [path.name for kind in ("service", "timer") for path in EXAMPLES.glob(f"*.{kind}")]
    assert all(fnmatch(name, units) for name in ours), "whichever way of collecting is in use"
    assert set(re.findall(r"/etc/maas-usage-check/\w+\.yaml", alerts)) == {setting("ExecStart").split()[3]}


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_person_can_follow_the_remedy_as_written(cloud: Cloud, program: Program, tmp_path: Path, remedy: str) -> None:
    key = tmp_path / "credentials"
    key.write_text(f"{AK}\n{SK}\n")
    key.chmod(0o600)
    as_user, _, command = remedy.partition(" -- ")
    path, *arguments = command.split()
    assert (as_user, path) == (f"runuser -u {setting('User')}", setting("ExecStart").split()[0])
    assert arguments[1:] == setting("ExecStart").split()[2:4], "the configuration that the service has"
    config = program.config(example(cloud, key, tmp_path / "state"))
    done = program(arguments[0], "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(key) in done.stdout
    assert "FAIL" not in done.stdout


def test_the_example_writes_files_that_node_exporter_may_read(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    key = tmp_path / "credentials"
    key.write_text(f"{AK}\n{SK}\n")
    key.chmod(0o400)
    state = tmp_path / "state-directory"
    state.mkdir(mode=0o700)
    output = tmp_path / "maas-usage.prom"
    old = os.umask(0o077)
    try:
        done = program(
            *setting("ExecStart").split()[1:2],
            "--config",
            program.config(example(cloud, key, state)),
            "--format",
            "prometheus",
            "--output",
            str(output),
            HW_ACCESS_KEY=None,
            HW_SECRET_KEY=None,
        )
    finally:
        os.umask(old)
    (first,) = done.stderr.splitlines()
    assert (done.returncode, first[:3]) == (0, "I! ")
    for file in (output, tmp_path / "maas-usage.api.prom"):
        assert file.stat().st_mode & 0o777 == 0o644
        assert file.read_text().startswith("# HELP huawei_maas_")
    assert (state / "maas-usage-check.sqlite3").stat().st_size, "the state is kept where the service may write"


def example(cloud: Cloud, key: Path, state: Path) -> str:
    """Give the example with a key and a state folder of the test's, asking the stand-in."""
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    text = (EXAMPLES / "conf.yaml").read_text().replace(str(instance.credentials.path), str(key))
    text = text.replace(str(instance.state_dir), str(state))
    return text.replace("region: cn", f"endpoint: {cloud.url}\n    iam_endpoint: {cloud.url}\n    region: cn", 1)
