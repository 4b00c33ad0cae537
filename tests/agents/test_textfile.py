"""The steps of docs/prometheus-textfile.md for Prometheus' textfile collector, run in order."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Cloud, Program
from ..walkthrough import blocks, follow, install_script, write_config
from .programs import replaced, run


def test_service(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """The service of docs/prometheus-textfile.md writes usage."""
    etc, lib, config = ("/etc/maas-usage-check", "/var/lib/prometheus", tmp_path / "etc" / "conf.yaml")
    unit = tmp_path / "maas-usage-check.service"
    here = {etc: str(config.parent), lib: str(tmp_path / "lib")}
    places = {
        "/opt/maas-usage-check/bin/pip install .": "true",
        **dict.fromkeys(("apt-get ", "python3 -m venv ", "groupadd ", "useradd ", "systemctl ", "curl "), "true "),
        "| grep ^huawei_maas": "",
        "-g textfile ": "",
        "-o maas-usage ": f"-o {getpass.getuser()} ",
        "/etc/systemd/system/": f"{tmp_path}/",
        **here,
    }
    follow(blocks("", "docs/prometheus-textfile.md")[:1], places, config, cloud, program)
    state = {"/var/lib/maas-usage-check": str(tmp_path / "state"), etc: here[etc]}
    write_config(cloud, replaced(config.read_text(), state), config)
    assert unit.with_suffix(".timer").exists()
    (start,) = re.findall("^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    here["/opt/maas-usage-check/bin/maas-usage-check"] = install_script(tmp_path / "maas-usage-check", program)
    done = run(replaced(start, here).split(), tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    text = "".join(path.read_text() for path in sorted((tmp_path / "lib").rglob("*.prom")))
    shown = {family.name for family in text_string_to_metric_families(text)}
    assert {"huawei_maas_usage_total_tokens", "huawei_maas_api_up"} <= shown
