"""The systemd units, cron line and configurations that users copy, for `serve` and for the textfile collector."""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Dict

import pytest
import yaml

from maas_usage_check.cloud import Statistics
from maas_usage_check.commands.arguments import LISTEN, read_arguments
from maas_usage_check.config import load, load_file

from .agents.programs import ROOT, find, run
from .conftest import AK, NOW, SK, Cloud, Program

EXAMPLES = ROOT / "examples" / "prometheus"
TEXTFILE, SERVE = "maas-usage-check.service", "maas-usage-check-serve.service"
CONF, CRON, ALERTS = (
    (EXAMPLES / name).read_text(encoding="utf-8") for name in ("conf.yaml", "maas-usage-check.cron", "alerts.yml")
)


def unit(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


def settings(name: str) -> Dict[str, str]:
    """Return the settings of a unit that occur once."""
    pairs = [line.partition("=")[::2] for line in unit(name).splitlines() if re.match(r"\w+=", line)]
    names = [setting for setting, _ in pairs]
    return {setting: value for setting, value in pairs if names.count(setting) == 1}


ONCE, EXPORTER = settings(TEXTFILE), settings(SERVE)
REMEDIES = [
    command for text in (ALERTS, unit(TEXTFILE)) for command in re.findall(r"runuser -u maas-usage -- [^`\n]+", text)
]


@pytest.mark.parametrize("name", [TEXTFILE, SERVE])
@pytest.mark.parametrize("command", ["verify", "security --offline=true --threshold=15 --no-pager"])
def test_systemd_analyze(tmp_path: Path, name: str, command: str) -> None:
    """systemd accepts the units, with an exposure of at most 1.5."""
    systemd = find("systemd-analyze", "Debian package systemd")
    shutil.copy(EXAMPLES / "maas-usage-check.timer", tmp_path)
    program = settings(name)["ExecStart"].split()[0]
    (tmp_path / name).write_text(unit(name).replace(program, "/bin/true"), encoding="utf-8")
    units = [name, "maas-usage-check.timer"] if (command, name) == ("verify", TEXTFILE) else [name]
    done = run([systemd, *command.split(), *(str(tmp_path / each) for each in units)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "maas-usage-check" not in done.stderr


def test_units_and_cron_agree() -> None:
    """Both units and the cron line have the same user, configuration and state."""
    program, *arguments = EXPORTER["ExecStart"].split()
    args = read_arguments(arguments)
    assert (args.command, f"{args.listen[0]}:{args.listen[1]}") == ("serve", LISTEN)
    assert [program, *arguments[1:3]] == [ONCE["ExecStart"].split()[i] for i in (0, 2, 3)]
    assert EXPORTER["Conflicts"] == "maas-usage-check.timer"
    assert EXPORTER["ExecReload"] == "/bin/kill -HUP $MAINPID"
    for name in ("User", "StateDirectory"):
        assert EXPORTER[name] == ONCE[name]
    (line,) = [line for line in CRON.splitlines() if line.startswith("*/5")]
    assert line == f"*/5 * * * * {ONCE['User']} {ONCE['ExecStart']}"


def test_comment_of_the_unit() -> None:
    """The commands in the comment create the paths that the configuration names."""
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    comment = unit(TEXTFILE).split("[Unit]")[0]
    assert f"install -o {ONCE['User']} -m 600 credentials {instance.credentials.path}\n" in comment
    assert f"--home-dir {instance.state_dir} --shell /usr/sbin/nologin {ONCE['User']}\n" in comment
    assert instance.state_dir == f"/var/lib/{ONCE['StateDirectory']}"


def test_calls_of_a_cycle() -> None:
    """The configuration needs 15 calls per cycle, and 15 more per label."""
    (instance,) = load(yaml.safe_load(CONF), NOW)
    (by_key,) = load(yaml.safe_load(re.sub("# (?=api_keys|per_api_key)", "", CONF)), NOW)
    calls = [len(Statistics().plan(each, int(NOW * 1000)).queries) for each in (instance, by_key)]
    labels = len(by_key.api_keys or ())
    assert calls == [15, 15 + 15 * labels]
    assert labels > 1


def test_remote_write_to_aom(tmp_path: Path) -> None:
    """Prometheus accepts the documented remote_write to AOM."""
    promtool = find("promtool", "Debian package prometheus")
    page = (ROOT / "docs" / "other-agents.md").read_text(encoding="utf-8")
    (aom,) = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "remote_write:" in text]
    (tmp_path / "prometheus.yml").write_text(aom)
    checked = run([promtool, "check", "config", "--syntax-only", "prometheus.yml"], tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ".myhuaweicloud.com" not in page  # AOM's address is only in the console


def test_names_in_alerts() -> None:
    """The alerts name the units and the configuration that are shipped."""
    assert len(REMEDIES) == 2
    assert "maas-usage-check report" not in ALERTS
    (units,) = set(re.findall(r"'(maas-usage-check\S*)'", ALERTS))
    ours = [path.name for kind in ("service", "timer") for path in EXAMPLES.glob(f"*.{kind}")]
    assert all(fnmatch(name, units) for name in ours), "for both ways to collect"
    assert set(re.findall(r"/etc/maas-usage-check/\w+\.yaml", ALERTS)) == {ONCE["ExecStart"].split()[3]}


def example(program: Program, cloud: Cloud) -> str:
    """Write the example configuration with the emulator's endpoints and the test's key and state folder."""
    key, state = program.folder / "credentials", program.folder / "state-directory"
    key.write_text(f"{AK}\n{SK}\n")
    key.chmod(0o400)
    state.mkdir(mode=0o700)
    for name in ("HW_ACCESS_KEY", "HW_SECRET_KEY"):
        program.environ.pop(name)
    (instance,) = load_file(str(EXAMPLES / "conf.yaml"))
    text = CONF.replace(str(instance.credentials.path), str(key)).replace(str(instance.state_dir), str(state))
    hosts = f"endpoint: {cloud.url}\n    iam_endpoint: {cloud.url}\n    region: cn"
    return program.config(text.replace("region: cn", hosts, 1))


@pytest.mark.parametrize("remedy", REMEDIES)
def test_remedy(cloud: Cloud, program: Program, remedy: str) -> None:
    """The commands in alerts and units work as written."""
    as_user, _, command = remedy.partition(" -- ")
    path, *arguments = command.split()
    assert (as_user, path) == (f"runuser -u {ONCE['User']}", ONCE["ExecStart"].split()[0])
    assert arguments[1:] == ONCE["ExecStart"].split()[2:4], "the configuration of the service"
    done = program(arguments[0], "--config", example(program, cloud))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(program.folder / "credentials") in done.stdout
    assert "FAIL" not in done.stdout
    assert list((program.folder / "state-directory").glob("*.sqlite3")), "the state folder of the service"
