"""The README's way to Telegraf is followed to the letter, on folders of the test and with the emulator as the cloud."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest
import yaml

from .conftest import AK, SK, Cloud, Program

ROOT = Path(__file__).parent.parent
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Telegraf\n")[1].split("\n## ")[0]
BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)


@pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")
def test_the_commands_followed_in_order_show_usage_before_telegraf_is_restarted(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    command = tmp_path / "maas-usage-check"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m maas_usage_check "$@"\n')
    command.chmod(0o755)
    places: Dict[str, str] = {
        "/usr/local/bin/maas-usage-check": str(command),
        "/etc/telegraf/telegraf.d": str(tmp_path),
        "/etc/maas-usage-check": str(tmp_path / "etc"),
        "/var/lib/telegraf": str(tmp_path / "state"),
        "-o telegraf": f"-o {getpass.getuser()}",
        "runuser -u telegraf -- ": "",
        "systemctl restart telegraf": "echo restarted",
    }
    said = ""
    for language, text in BLOCK.findall(SECTION):
        for old, new in places.items():
            text = text.replace(old, new)
        if language == "yaml":
            document = yaml.safe_load(text)
            document["instances"][0].update(endpoint=cloud.url, iam_endpoint=cloud.url)
            (tmp_path / "etc" / "conf.yaml").write_text(yaml.safe_dump(document))
            continue
        lines = [re.sub("^# ", "", line) for line in text.splitlines()]
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=ROOT, env=program.environ, capture_output=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stderr.splitlines() if not line.startswith("I! ")] == []
        said += done.stdout
    *usage, health, restarted = said.splitlines()
    names = [line.split(",")[0] for line in usage]
    assert names == ["huawei_maas_usage"] * 5 + ["huawei_maas_hourly"] * (len(names) - 5)
    assert len(names) > 5
    assert health.startswith("huawei_maas_api,")
    assert " up=1i," in health
    assert restarted == "restarted"
    assert (tmp_path / "maas-usage-check.conf").read_text() == (ROOT / "examples/telegraf/execd.conf").read_text()
    key = tmp_path / "etc" / "credentials"
    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{AK},{SK}\n", 0o600)
