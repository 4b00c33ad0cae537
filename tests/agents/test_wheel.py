"""The wheel alone, in a fresh environment: what it holds, and the sections that are followed with it."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Dict, NamedTuple

import pytest
import yaml
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import AK, SK, Cloud
from .programs import ROOT, find
from .wheel import call, install
from .zabbix import values

pytestmark = pytest.mark.timeout(300)  # it installs for real

BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)
LINKED = "examples/prometheus/alerts"
"""A link to the rules, which are an asset anyway, and what tests them."""
LEFT_OUT = ("apt-get ", "python3 -m venv ", "groupadd ", "useradd ", "systemctl ", "curl ", "ln -s ")
"""Begin what a test does not do to the machine it runs on."""


class Home(NamedTuple):
    """Hold a fresh environment and what `assets` wrote out of it."""

    program: Path
    assets: Path


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    program = install(folder / "venv", wheel).parent / "maas-usage-check"
    written = call(program, "assets", folder / "assets", cwd=folder).splitlines()
    assert sorted(map(Path, written)) == sorted(path for path in (folder / "assets").rglob("*") if path.is_file())
    return Home(program, folder / "assets")


def section(page: str, title: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def follow(text: str, home: Home, folder: Path, cloud: Cloud, agents_user: str, **places: str) -> str:
    """Run a section's commands where `assets` wrote to, and write its configuration; return what they printed."""
    text = put(
        text,
        **{
            "/usr/local/bin/maas-usage-check": str(home.program),
            "/etc/maas-usage-check": str(folder / "etc"),
            "/var/lib/maas-usage-check": str(folder / "state"),
            f"-o {agents_user}": f"-o {getpass.getuser()}",
            f"runuser -u {agents_user} -- ": "",
            "-g textfile ": "",
            **places,
        },
    )
    keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PATH": f"{home.program.parent}:{os.environ['PATH']}"}
    said, config = "", folder / "etc" / "conf.yaml"
    for language, block in BLOCK.findall(text):
        if language == "console":
            lines = [re.sub("^[#$] ", "", line) for line in block.splitlines()]
            script = "\n".join(line for line in lines if not line.startswith(LEFT_OUT))
            environ = {**os.environ, **keys}
            said += call("bash", "-e", "-c", script, cwd=home.assets, env=environ, input=f"{AK},{SK}\n") + "\n"
        elif "instances" in block:
            config.write_text(block)
        if config.exists():
            ask(cloud, config, folder)
    return said


def put(text: str, **places: str) -> str:
    for old, new in places.items():
        text = text.replace(old, new)
    return text


def ask(cloud: Cloud, config: Path, folder: Path) -> None:
    """Name this cloud, and the folders of the test, in a configuration."""
    document = yaml.safe_load(put(config.read_text(), **{"/etc/maas-usage-check": str(folder / "etc")}))
    keys = dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), cloud.url)
    for entry in document["instances"]:
        entry.update(keys, state_dir=str(folder / "state"))
    config.write_text(yaml.safe_dump(document))


def test_the_wheel_brings_the_examples_the_assets_and_nothing_of_the_repository_besides(
    wheel: Path, home: Home
) -> None:
    top = [ROOT / "conf.yaml.example", *(path for path in (ROOT / "examples").rglob("*") if path.is_file())]
    names = [path.relative_to(ROOT) for path in top if not str(path.relative_to(ROOT)).startswith(LINKED)]
    assert len(names) > 10
    for name in names:
        assert (home.assets / name).read_bytes() == (ROOT / name).read_bytes()
    held = zipfile.ZipFile(wheel).namelist()
    assert not any(name.startswith(("tests", "tools", "benchmarks")) for name in held)
    assert "maas_usage_check/py.typed" in held
    package = ROOT / "maas_usage_check" / "assets"
    for path in package.rglob("*"):
        if path.is_file():
            assert (home.assets / path.relative_to(package)).read_bytes() == path.read_bytes()


def test_the_sdist_has_no_link_and_all_that_its_tests_read(wheel: Path) -> None:
    (sdist,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = {member.name.split("/", 1)[-1]: member for member in archive.getmembers()}
    assert not [name for name, member in members.items() if member.issym() or member.islnk()]
    files = call("git", "-C", ROOT, "ls-files").splitlines()
    wanted = [name for name in files if name != ".gitignore" and (ROOT / name).is_file()]
    assert sorted(set(wanted) - set(members)) == []


def test_the_metadata_need_no_agent_and_lead_nowhere_that_is_not(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(archive.read(name))
    needs = metadata.get_all("Requires-Dist") or []
    core = {re.split("[<>=; ]", need)[0] for need in needs if "extra ==" not in need}
    assert core == {
        "huaweicloudsdkcore", "msgspec", "PyYAML", "rich", "tzdata", "tzlocal", "backports.zoneinfo",
    }  # fmt: skip
    text = metadata.get_payload(decode=True).decode()
    assert "maas-usage-check" in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("https://")] == []
    for minor in range(8, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in metadata.get_all("Classifier", [])


@pytest.mark.usefixtures("real_time")
def test_the_way_to_telegraf_with_files_from_the_assets(home: Home, cloud: Cloud, tmp_path: Path) -> None:
    telegraf, folder = find("telegraf"), tmp_path / "telegraf.d"
    folder.mkdir()
    places: Dict[str, str] = {"/etc/telegraf/telegraf.d": str(folder), "/var/lib/telegraf": str(tmp_path / "lib")}
    said = follow(section("README.md", "Telegraf"), home, tmp_path, cloud, "telegraf", **places)
    points = [parse_line(line) for line in said.splitlines() if line.startswith("huawei_maas_")]
    assert points[-1]["measurement"] == "huawei_maas_api"
    assert points[-1]["fields"]["up"] == 1
    (config,) = folder.iterdir()
    here = {"/usr/local/bin/maas-usage-check": str(home.program), "/etc/maas-usage-check": str(tmp_path / "etc")}
    output = '[agent]\n  omit_hostname = true\n[[outputs.file]]\n  files = ["stdout"]\n  data_format = "influx"\n'
    config.write_text(output + put(config.read_text(), **here, **{'"5m"': '"1s"'}))
    with subprocess.Popen(
        [telegraf, "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        assert process.stdout
        try:
            line = next(line for line in process.stdout if line.startswith("huawei_maas_api"))
        finally:
            process.terminate()
    assert parse_line(line)["fields"]["up"] == 1


@pytest.mark.usefixtures("real_time")
def test_the_way_to_the_textfile_collector_with_files_from_the_assets(home: Home, cloud: Cloud, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    places: Dict[str, str] = {"/etc/systemd/system": str(units), "/var/lib/prometheus": str(tmp_path / "lib")}
    page = (ROOT / "docs" / "prometheus-textfile.md").read_text(encoding="utf-8")
    first = page.split("```console\n")[1].split("```")[0]
    follow(f"```console\n{first}```", home, tmp_path, cloud, "maas-usage", **places)
    assert (units / "maas-usage-check.timer").exists()
    (start,) = re.findall("^ExecStart=(.*)$", (units / "maas-usage-check.service").read_text(), re.MULTILINE)
    here = {
        "/opt/maas-usage-check/bin/maas-usage-check": str(home.program),
        "/etc/maas-usage-check": str(tmp_path / "etc"),
    }
    assert call(*put(start, **here, **places).split(), cwd=tmp_path) == ""
    text = "".join(path.read_text() for path in sorted((tmp_path / "lib").rglob("*.prom")))
    shown = {family.name for family in text_string_to_metric_families(text)}
    assert {"huawei_maas_usage_total_tokens", "huawei_maas_api_up"} <= shown
    # A number of hours, which the linter takes for a time.
    linted = [line for line in text.splitlines(keepends=True) if "huawei_maas_api_missing_hours" not in line]
    call(find("promtool"), "check", "metrics", input="".join(linted))


@pytest.mark.usefixtures("real_time")
def test_the_way_to_zabbix_with_files_from_the_assets(home: Home, cloud: Cloud, tmp_path: Path) -> None:
    find("zabbix_agent2", "apt-get install zabbix-agent2")
    folder, main = tmp_path / "zabbix_agent2.d", tmp_path / "zabbix_agent2.conf"
    folder.mkdir()
    main.write_text(f"Server=127.0.0.1\nInclude={folder}/*.conf\n")
    page, check = "docs/other-agents.md", "# runuser -u zabbix -- zabbix_agent2 -t maas.collect\n"
    before, text = (ROOT / page).read_text(encoding="utf-8").split("\n## Categraf\n")[0], section(page, "Zabbix")
    assert check in text
    places: Dict[str, str] = {
        "/etc/zabbix/zabbix_agent2.d": str(folder),
        "/tmp/maas": str(tmp_path / "maas"),
        check: "",
    }
    follow(before + text, home, tmp_path, cloud, "USER", **places)
    (parameter,) = folder.iterdir()
    here = {"/usr/local/bin/maas-usage-check": str(home.program), "/etc/maas-usage-check": str(tmp_path / "etc")}
    parameter.write_text(put(parameter.read_text(), **here))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    said = call("zabbix_agent2", "-c", main, "-t", "maas.collect", cwd=tmp_path, env=environ)
    export = yaml.safe_load((tmp_path / "maas" / "examples" / "zabbix" / "template.yaml").read_text())
    (template,) = export["zabbix_export"]["templates"]
    got = values(template, said.split("[s|")[1].rpartition("]")[0])
    assert got["maas.api.up[cn-southwest-2]"] == 1
    assert sum(key.startswith("maas.usage.total_tokens[") for key in got) == 4
