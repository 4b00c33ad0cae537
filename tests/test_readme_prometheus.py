"""The README's way to Prometheus shows usage where Prometheus is told to scrape it."""

from __future__ import annotations

import getpass
import re
import shutil
from pathlib import Path
from typing import Dict
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

from maas_usage_check.surfaces.arguments import LISTEN

from .conftest import SK, Cloud, Program, wait_for
from .walkthrough import blocks, follow

PIP = "/opt/maas-usage-check/bin/pip install '.[serve]'"
SERVE = "runuser -u maas-usage -- /usr/local/bin/maas-usage-check serve --config /etc/maas-usage-check/conf.yaml"
OPENER = build_opener(ProxyHandler({}))


@pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")
def test_the_commands_followed_in_order_serve_usage(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    assert f"# {SERVE}\n" in [text for _, text in blocks("Prometheus")]
    places: Dict[str, str] = {
        PIP: "true",
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
    assert SERVE.split(" -- ")[1].split("/bin/")[1] in (tmp_path / "maas-usage-check-serve.service").read_text()
    assert SK not in config.read_text()
    process = program.start("serve", "--config", str(config), "--listen", "127.0.0.1:0")
    try:
        assert process.stderr
        (url,) = re.findall(r"http://\S+/metrics", process.stderr.readline().decode())

        def shown() -> str:
            text: str = OPENER.open(url, timeout=10).read().decode()
            return text

        wait_for(lambda: "\nhuawei_maas_api_up{" in shown(), "the first cycle")
        usage = re.findall(r'^huawei_maas_usage_total_tokens\{.*range="(\w+)"', shown(), re.MULTILINE)
        assert sorted(usage) == sorted(["today", "this_month", "last_7d", "last_14d", "last_30d"])
        assert re.findall(r"^huawei_maas_api_up\{.*\} (\S+)$", shown(), re.MULTILINE) == ["1.0"]
    finally:
        process.terminate()
        process.communicate()


def test_prometheus_is_told_to_scrape_where_serve_listens_by_default() -> None:
    *_, text = [text for language, text in blocks("Prometheus") if language == "yaml"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [LISTEN]
