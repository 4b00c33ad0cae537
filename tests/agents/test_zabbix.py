"""The user parameter in the real zabbix_agent2; test_zabbix_server.py adds a real server."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from ..conftest import Cloud, Program
from ..walkthrough import blocks, follow
from .programs import INSTALLED, ROOT, find, replaced, run

PARAMETER_FILE = ROOT / "examples" / "zabbix" / "maas-usage-check.conf"
PARAMETER = PARAMETER_FILE.read_text(encoding="utf-8")
TEXT = (ROOT / "examples" / "zabbix" / "template.yaml").read_text(encoding="utf-8")
AGENT = "apt-get install zabbix-agent2"


@pytest.fixture
def collect(program: Program, command: str) -> Callable[..., str]:
    """Return a function that runs the user parameter by `zabbix_agent2 -t` and returns its text."""
    agent = find("zabbix_agent2", AGENT)

    def collected(config: str, parameter: str = PARAMETER, **environ: str) -> str:
        places = {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config}
        (program.folder / "parameter.conf").write_text(replaced(parameter, places))
        main = program.folder / "zabbix_agent2.conf"
        main.write_text(f"Server=127.0.0.1\nInclude={program.folder}/parameter.conf\n")
        keys = {name: program.environ[name] for name in ("HW_ACCESS_KEY", "HW_SECRET_KEY")}
        done = run([agent, "-c", str(main), "-t", "maas.collect"], program.folder, **{**keys, **environ})
        answer = re.match(r"maas\.collect +\[s\|(.*)\]\n$", done.stdout, re.DOTALL)
        assert answer, done.stdout + done.stderr
        return answer[1]

    return collected


def test_trigger_expressions() -> None:
    """Every item of a trigger's expression exists."""
    keys = set(re.findall(r" key: (maas\.[\w.]+\[.*\])$", TEXT, re.MULTILINE))
    used = set(re.findall(r"/(maas\.[\w.]+\[.*?\])", TEXT))
    assert used <= keys
    assert len(used) > 10
    assert not re.findall(r"expression: .*<[^=>].*", TEXT)


def test_docs(cloud: Cloud, program: Program, command: str, tmp_path: Path, collect: Any) -> None:
    """The steps of docs/other-agents.md work: the agent's user reads the key, and the text has every range."""
    page, config = "docs/other-agents.md", tmp_path / "etc" / "conf.yaml"
    check = "runuser -u zabbix -- zabbix_agent2 -t maas.collect"
    places = {
        "# maas-usage-check ": f"# {command} ",
        "/tmp/maas": str(tmp_path / "maas"),
        "/etc/maas-usage-check": str(config.parent),
        "/var/lib/maas-usage-check": str(tmp_path / "state"),
        "/etc/zabbix/zabbix_agent2.d": str(tmp_path),
        "-o USER": f"-o {getpass.getuser()}",
        check: "true",
        "systemctl ": "true ",
    }
    section = [*blocks("", page), *blocks("Zabbix", page)]
    assert any(check in text for _, text in section)
    follow(section, places, config, cloud, program)
    text = collect(str(config), (tmp_path / PARAMETER_FILE.name).read_text(), HW_SECRET_KEY="")
    assert text.count("\nhuawei_maas_usage_total_tokens{") == 4
    assert re.search(r"^huawei_maas_api_up\{.*\} 1$", text, re.MULTILINE)


def test_warning(cloud: Cloud, program: Program, collect: Any) -> None:
    """Without --quiet, the agent mixes a warning into the values."""
    config = program.cloud_config(cloud, "ranges: [last_1d, last_2h]")
    assert "W! " not in collect(config)
    loud: Dict[str, str] = {"parameter": PARAMETER.replace(" --quiet", "")}
    assert "W! " in collect(config, **loud)  # which is why the example has --quiet


def test_timeout() -> None:
    """The agent's Timeout is longer than the deadline of `collect`."""
    found = re.search(r"--deadline (\d+).*^Timeout=(\d+)", PARAMETER, re.DOTALL | re.MULTILINE)
    assert found
    assert int(found[1]) < int(found[2]) <= 30
