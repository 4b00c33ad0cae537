"""The units, the cron line and the configuration that Prometheus users copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.config import load_file

from .agents.programs import ROOT, find
from .conftest import AK, SK, Cloud, Program

EXAMPLES = ROOT / "examples" / "prometheus"
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


def test_the_configuration_asks_15_calls_a_cycle_with_the_key_that_systemd_hands_over() -> None:
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    assert len(Statistics().plan(instance, 1_795_435_200_000).queries) == 15
    assert instance.credentials.path == f"/run/credentials/maas-usage-check.service/{setting('LoadCredential')[:11]}"


def test_the_example_writes_files_that_node_exporter_may_read(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    key = tmp_path / "credentials"
    key.write_text(f"{AK}\n{SK}\n")
    key.chmod(0o400)
    text = (EXAMPLES / "conf.yaml").read_text().replace(setting_path(), str(key))
    text = text.replace("region: cn", f"endpoint: {cloud.url}\n    iam_endpoint: {cloud.url}\n    region: cn", 1)
    private, state = tmp_path / "private", tmp_path / "state-directory"
    private.mkdir(mode=0o700)
    state.symlink_to(private)  # as systemd does for a DynamicUser
    output = tmp_path / "maas-usage.prom"
    old = os.umask(0o077)
    try:
        done = program(
            *setting("ExecStart").split()[1:2],
            "--config",
            program.config(text),
            "--format",
            "prometheus",
            "--output",
            str(output),
            HW_ACCESS_KEY=None,
            HW_SECRET_KEY=None,
            STATE_DIRECTORY=str(state),
        )
    finally:
        os.umask(old)
    assert (done.returncode, done.stderr) == (0, "")
    for file in (output, tmp_path / "maas-usage.api.prom"):
        assert file.stat().st_mode & 0o777 == 0o644
        assert file.read_text().startswith("# HELP huawei_maas_")
    assert (private / "maas-usage-check.sqlite3").stat().st_size, "the state is kept where systemd keeps it"


def setting_path() -> str:
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    return str(instance.credentials.path)
