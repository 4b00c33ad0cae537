"""The unit, the scrape configuration and the page that users of `serve` copy from."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import List

import pytest
import yaml

from maas_usage_check.metrics import CATALOGUE, COUNT
from maas_usage_check.surfaces.arguments import LISTEN, read_arguments
from maas_usage_check.surfaces.serve.rounds import GRACE
from maas_usage_check.surfaces.serve.server import AT_ONCE, LIMIT

from .agents.programs import ROOT, find, run

EXAMPLES = ROOT / "examples" / "prometheus"
UNIT = "maas-usage-check-serve.service"
SERVICE = (EXAMPLES / UNIT).read_text(encoding="utf-8")
TEXTFILE = (EXAMPLES / "maas-usage-check.service").read_text(encoding="utf-8")
SCRAPE = (EXAMPLES / "scrape.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "prometheus.md").read_text(encoding="utf-8")


def setting(name: str, text: str = SERVICE) -> str:
    (found,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]
    return found


@pytest.mark.parametrize(
    "command", [["verify"], ["security", "--offline=true", "--threshold=15", "--no-pager"]], ids=["verify", "security"]
)
def test_systemd_finds_the_unit_right_and_little_exposed(tmp_path: Path, command: List[str]) -> None:
    systemd = find("systemd-analyze", "Debian package systemd")
    unit = tmp_path / UNIT
    unit.write_text(SERVICE.replace(setting("ExecStart").split()[0], "/bin/true"), encoding="utf-8")
    done = subprocess.run([systemd, *command, str(unit)], capture_output=True, encoding="utf-8", timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "maas-usage-check" not in done.stderr


def test_the_unit_collects_what_the_textfile_would_and_never_beside_it() -> None:
    program, *arguments = setting("ExecStart").split()
    assert [program, *arguments[1:3]] == [setting("ExecStart", TEXTFILE).split()[i] for i in (0, 2, 3)]
    args = read_arguments(arguments)
    assert args.command == "serve"
    assert f"{args.listen[0]}:{args.listen[1]}" == LISTEN
    assert setting("Conflicts") == "maas-usage-check.timer"
    assert setting("ExecReload") == "/bin/kill -HUP $MAINPID"
    for name in ("User", "StateDirectory"):
        assert setting(name) == setting(name, TEXTFILE)


def test_prometheus_takes_the_scrape_configuration_with_and_without_tls(tmp_path: Path) -> None:
    promtool = find("promtool", "Debian package prometheus")
    with_tls = re.sub(r"^    # (?=scheme|tls_config|  \w+_file)", "    ", SCRAPE, flags=re.MULTILINE)
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text("")
        with_tls = with_tls.replace(f"/etc/prometheus/maas-usage-check-{name}", str(tmp_path / name))
    assert "scheme" not in yaml.safe_load(SCRAPE)["scrape_configs"][0]
    assert len(yaml.safe_load(with_tls)["scrape_configs"][0]["tls_config"]) == 3
    for text in (SCRAPE, with_tls):
        (tmp_path / "prometheus.yml").write_text(text)
        checked = run([promtool, "check", "config", "--syntax-only", "prometheus.yml"], tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert yaml.safe_load(text)["scrape_configs"][0]["static_configs"] == [{"targets": [LISTEN]}]


def test_the_page_shows_the_scrape_configuration_as_it_is() -> None:
    config, _, _ = SCRAPE.partition("    # Where it listens")
    assert (
        config[config.index("scrape_configs:") :].replace(
            "    # The cloud is asked every min_collection_interval, however often this is.\n", ""
        )
        in PAGE
    )
    assert LISTEN in PAGE


def test_every_command_of_the_page_is_one_that_the_program_takes() -> None:
    commands = [line[2:] for line in PAGE.splitlines() if re.match(r"[$#] .*maas-usage-check serve ", line)]
    assert len(commands) >= 2
    for command in commands:
        words = shlex.split(command, comments=True)
        read_arguments(words[words.index("serve") :])


def test_every_metric_of_the_page_is_in_the_catalogue() -> None:
    known = {
        f"{measurement}_{field.name}{'_total' if field.nature == COUNT else ''}"
        for measurement, fields in CATALOGUE.items()
        for field in fields
    }
    named = set(re.findall(r"\bhuawei_maas_\w+", PAGE))
    assert named
    assert named <= known


def test_the_limits_of_the_page_are_those_of_the_program() -> None:
    assert f"{AT_ONCE} connections" in PAGE
    assert f"{LIMIT:g} seconds" in PAGE
    assert f"plus {GRACE:g} seconds" in PAGE


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"\b(?:examples|docs)/[\w./-]+\w", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
