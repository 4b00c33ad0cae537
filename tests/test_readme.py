"""The README's sections on Telegraf and Prometheus, followed in order, show usage."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .agents.programs import ROOT
from .commands.exporter import running_exporter
from .conftest import AK, SK, Cloud, Program
from .walkthrough import blocks, follow, install_script

RANGES = ["today", "this_month", "last_7d", "last_14d", "last_30d"]
SERVE = "runuser -u maas-usage -- /usr/local/bin/maas-usage-check serve --config /etc/maas-usage-check/conf.yaml"
pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
KEY_LINES = [
    line for page in PAGES for line in re.findall(r"^[#$] (.*\$\{?HW_.*)$", page.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("empty", ["HW_ACCESS_KEY", "HW_SECRET_KEY"])
def test_empty_key(empty: str) -> None:
    """A documented line that writes a key file fails, and runs nothing, where a variable is empty."""
    assert len(KEY_LINES) == 7
    for line in KEY_LINES:
        commands = f"install() {{ echo ran; }}; sudo() {{ echo ran; }}\n{line}"
        environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, empty: ""}
        done = subprocess.run(["bash", "-c", commands], env=environ, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode != 0
        assert done.stdout == ""
        assert f"{empty}: parameter null or not set" in done.stderr


def test_telegraf(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """`collect` prints usage before Telegraf is restarted."""
    places = {
        "/usr/local/bin/maas-usage-check": install_script(tmp_path / "maas-usage-check", program),
        "/etc/telegraf/telegraf.d": str(tmp_path),
        "/etc/maas-usage-check": str(tmp_path / "etc"),
        "/var/lib/telegraf": str(tmp_path / "state"),
        "-o telegraf": f"-o {getpass.getuser()}",
        "runuser -u telegraf -- ": "",
        "systemctl restart telegraf": "echo restarted",
    }
    printed = follow("Telegraf", places, tmp_path / "etc" / "conf.yaml", cloud, program)
    *usage, health, restarted = printed.splitlines()
    names = [line.split(",")[0] for line in usage]
    assert names[: len(RANGES)] == ["huawei_maas_usage"] * len(RANGES)
    assert set(names[len(RANGES) :]) == {"huawei_maas_hourly"}
    assert health.startswith("huawei_maas_api,")
    assert " up=1i," in health
    assert restarted == "restarted"
    example = ROOT / "examples" / "telegraf" / "execd.conf"
    assert (tmp_path / "maas-usage-check.conf").read_bytes() == example.read_bytes()
    key = tmp_path / "etc" / "credentials"
    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{AK},{SK}\n", 0o600)


def test_prometheus(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """`serve` shows usage with this configuration, and systemd runs the same command."""
    places = {
        "/opt/maas-usage-check/bin/pip install '.[serve]'": "true",
        "useradd ": "true ",
        SERVE: "true",
        "/etc/systemd/system/": f"{tmp_path}/",
        "systemctl ": "true ",
        "/etc/maas-usage-check": str(tmp_path / "etc"),
        "/var/lib/maas-usage-check": str(tmp_path / "state"),
        "-o maas-usage": f"-o {getpass.getuser()}",
    }
    config = tmp_path / "etc" / "conf.yaml"
    follow("Prometheus", places, config, cloud, program)
    assert f"# {SERVE}\n" in [text for _, text in blocks("Prometheus")]
    unit = (tmp_path / "maas-usage-check-serve.service").read_text()
    assert SERVE.split("/bin/")[1] in unit
    assert SK not in config.read_text()
    with running_exporter(program, str(config)) as exporter:
        exporter.wait_until_ready()
        assert sorted(exporter.samples("huawei_maas_usage_total_tokens")) == sorted(RANGES)
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}
