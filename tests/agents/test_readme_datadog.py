"""The README's steps for the Datadog Agent, with the Agent's base library in place of the Agent."""

from __future__ import annotations

import getpass
import re
import shutil
import sys
from pathlib import Path
from typing import Dict

import pytest

from ..conftest import AK, SK, Cloud, Program
from ..walkthrough import follow, script
from .conftest import need_library
from .programs import ROOT

need_library("datadog_checks.base")


def program_of_the_docs() -> str:
    """Return the program of docs/datadog.md, which runs the check in place of the Agent."""
    page = (ROOT / "docs" / "datadog.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return str(text)


@pytest.mark.timeout(240)
@pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")
@pytest.mark.usefixtures("real_time")
def test_commands(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """The commands, run in order, show usage from the installed wheel."""
    checkout, agent, installed = (tmp_path / name for name in ("checkout", "agent", "installed"))
    # A copy, because a build leaves folders behind.
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    pip = script(tmp_path / "pip", f'{sys.executable} -m pip --quiet --disable-pip-version-check "$@"')
    script(agent / "embedded" / "bin" / "pip", f'{pip} "$@" --no-deps --target {installed}')
    (agent / "final_constraints-py3.txt").write_text("")
    config = tmp_path / "conf.d" / "maas_usage_check.d" / "conf.yaml"
    (tmp_path / "check.py").write_text(program_of_the_docs())
    places: Dict[str, str] = {
        "AGENT=/opt/datadog-agent": f"AGENT={agent}",
        "/opt/maas-usage-check/bin/pip": pip,
        "/tmp/maas": str(tmp_path / "wheels"),
        "/etc/datadog-agent": str(tmp_path),
        "sudo -u dd-agent datadog-agent check maas_usage_check": (
            f"PYTHONPATH={installed} {sys.executable} {tmp_path / 'check.py'} {config}"
        ),
        "sudo -u dd-agent ": "",
        "sudo ": "",
        "-o dd-agent -g dd-agent": f"-o {getpass.getuser()}",
        "systemctl restart datadog-agent": "true",
    }
    output = follow("Datadog Agent", places, config, cloud, program, checkout)
    assert (installed / "maas_usage_check" / "__init__.py").exists()
    rows = re.findall(r"^huawei_maas\.usage\.total_tokens (\S+) .*range:(\w+)", output, re.MULTILINE)
    shown = {name: float(value) for value, name in rows}
    assert set(shown) == {"today", "this_month", "last_1d", "last_7d", "last_14d", "last_30d"}
    assert shown["last_7d"] > 0
    assert re.findall(r"^huawei_maas\.api\.up (\S+)", output, re.MULTILINE) == ["1.0"]
    key = tmp_path / "maas.key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{AK},{SK}\n", 0o600)
    assert SK not in config.read_text()
