"""The README's way to Telegraf shows usage before Telegraf is restarted."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path
from typing import Dict

import pytest

from .conftest import AK, SK, Cloud, Program
from .pages import ROOT
from .walkthrough import follow, this_program


@pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")
def test_the_commands_followed_in_order_show_usage_before_telegraf_is_restarted(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    places: Dict[str, str] = {
        "/usr/local/bin/maas-usage-check": this_program(tmp_path / "maas-usage-check"),
        "/etc/telegraf/telegraf.d": str(tmp_path),
        "/etc/maas-usage-check": str(tmp_path / "etc"),
        "/var/lib/telegraf": str(tmp_path / "state"),
        "-o telegraf": f"-o {getpass.getuser()}",
        "runuser -u telegraf -- ": "",
        "systemctl restart telegraf": "echo restarted",
    }
    *usage, health, restarted = follow(
        "Telegraf", places, tmp_path / "etc" / "conf.yaml", cloud, program
    ).splitlines()  # fmt: skip
    names = [line.split(",")[0] for line in usage]
    assert names == ["huawei_maas_usage"] * 5 + ["huawei_maas_hourly"] * (len(names) - 5)
    assert len(names) > 5
    assert health.startswith("huawei_maas_api,")
    assert " up=1i," in health
    assert restarted == "restarted"
    assert (tmp_path / "maas-usage-check.conf").read_text() == (ROOT / "examples/telegraf/execd.conf").read_text()
    key = tmp_path / "etc" / "credentials"
    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{AK},{SK}\n", 0o600)
