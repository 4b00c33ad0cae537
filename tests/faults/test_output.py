"""`--output` onto a file that can be written but not replaced."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Callable, List

import pytest

from ..conftest import Cloud, FixedClock, Program
from ..program import only_line, skip_unless_processes
from .other_user import NOBODY, other_user

BUSY = "Device or resource busy"
REMEDY = "mount the folder instead of the file, or let this user write to the folder"


def in_place(files: str, reason: str) -> str:
    text = "written in place, where a reader may see a part"
    return f"W! --output: {files} cannot be replaced ({reason}): {text}; {REMEDY}"


class Mounts:
    """A folder into which single files are mounted from another one, as a container runtime does."""

    def __init__(self, folder: Path, cloud: Cloud, program: Program) -> None:
        self.outside, self.inside = folder / "outside", folder / "inside"
        self.outside.mkdir()
        self.inside.mkdir()
        self._config = program.cloud_config(cloud, "hourly: true\nbackfill_days: 0\n")
        self._program = program
        self._command = program.command
        self._steps: List[str] = []

    def mount(self, name: str) -> None:
        for folder in (self.outside, self.inside):
            (folder / name).touch()
        self._steps.append(f"mount --bind {self.outside / name} {self.inside / name}")

    def mount_folder_read_only(self) -> None:
        """Make the folder read-only; files that are mounted later are not."""
        self._steps.append(f"mount --bind {self.inside} {self.inside} && mount -o remount,ro,bind {self.inside}")

    def collect(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        script = " && ".join([*self._steps, 'exec "$@"'])
        self._program.command = ["unshare", "--mount", "sh", "-c", script, "sh", *self._command]
        output = str(self.inside / name)
        return self._program.process("collect", "--config", self._config, "--output", output, *options)


@pytest.fixture
def mounts(tmp_path: Path, cloud: Cloud, program: Program) -> Mounts:
    skip_unless_processes()
    command = ["unshare", "--mount", "mount", "--bind", str(tmp_path), str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    return Mounts(tmp_path, cloud, program)


def test_mounted_file(mounts: Mounts) -> None:
    """It is written, shorter and longer than before, and one line says so."""
    mounts.mount("usage")
    path = mounts.outside / "usage"
    path.write_text("old\n" * 10_000)
    for _ in range(2):
        done = mounts.collect("usage")
        assert (done.returncode, done.stdout) == (0, "")
        assert in_place(str(mounts.inside / "usage"), BUSY) in done.stderr.splitlines()
        lines = path.read_text().splitlines()
        assert all(line.startswith("huawei_maas_") for line in lines)
        assert lines[-1].startswith("huawei_maas_api,")
    assert os.listdir(mounts.inside) == ["usage"]
    assert mounts.collect("usage", "--quiet").stderr == ""


def test_mounted_prometheus_file(mounts: Mounts) -> None:
    """The second file lies beside it, outside of the mount, which the line says, unless it is mounted too."""
    mounts.mount("usage.prom")
    usage, live = mounts.inside / "usage.prom", mounts.inside / "usage.api.prom"
    done = mounts.collect("usage.prom", "--format", "prometheus")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == f"{in_place(str(usage), BUSY)}, which has {live} too"
    assert "huawei_maas_api_up" in live.read_text()
    mounts.mount("usage.api.prom")
    done = mounts.collect("usage.prom", "--format", "prometheus")
    assert (done.returncode, done.stderr.splitlines()) == (0, [in_place(f"{usage} and {live}", BUSY)])
    assert "huawei_maas_usage_total_tokens" in (mounts.outside / "usage.prom").read_text()
    assert "huawei_maas_api_up" in (mounts.outside / "usage.api.prom").read_text()


def test_read_only_folder(mounts: Mounts) -> None:
    """The file in it is written; one that must be created is named."""
    mounts.mount_folder_read_only()
    mounts.mount("usage.prom")
    done = mounts.collect("usage.prom")
    assert done.returncode == 0
    assert in_place(str(mounts.inside / "usage.prom"), "Read-only file system") in done.stderr.splitlines()
    line = only_line(mounts.collect("usage.prom", "--format", "prometheus"), 2)
    live = mounts.inside / "usage.api.prom"
    assert line == f"E! --output: {live} cannot be written (Read-only file system); check the folder"


def test_first_cycle_fails(mounts: Mounts, cloud: Cloud) -> None:
    """The counters come into the empty file that a mount needs."""
    mounts.mount("usage.prom")
    assert mounts.collect("usage.prom", "--format", "prometheus").returncode == 0
    (mounts.outside / "usage.prom").write_text("")
    cloud.emulator.secret_keys.clear()
    assert mounts.collect("usage.prom", "--format", "prometheus").returncode == 1
    assert "huawei_maas_consumed_tokens_total" in (mounts.outside / "usage.prom").read_text()


def test_folder_of_another_user(cloud: Cloud, clock: FixedClock) -> None:
    """A file that this user may write, in a folder that this user may not."""
    for user in other_user(NOBODY, ["setpriv"], cloud, clock):
        folder = user.program.folder / "root"
        folder.mkdir()
        path = folder / "usage"
        path.touch()
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o640)
        config = user.program.cloud_config(cloud)
        done = user.program.process("collect", "--config", config, "--output", str(path))
        assert (done.returncode, done.stderr.splitlines()) == (0, [in_place(str(path), "Permission denied")])
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert "huawei_maas_api" in path.read_text()
        path.chmod(0o440)
        line = only_line(user.program.process("collect", "--config", config, "--output", str(path)), 2)
        assert line == f"E! --output: {path} cannot be written (Permission denied); check the folder"


@pytest.mark.parametrize("format_name", ["influx", "prometheus", "json"])
def test_standard_output(
    cloud: Cloud, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    """`-` is standard output, and no file."""
    monkeypatch.chdir(tmp_path)
    command = ("collect", "--config", program.cloud_config(cloud), "--format", format_name)
    kind: Callable[[str], List[str]] = lambda text: [line.split()[0] for line in text.splitlines()]  # noqa: E731
    done = program(*command, "--output", "-")
    assert done.returncode == 0
    assert kind(done.stdout) == kind(program(*command).stdout) != []
    assert not list(tmp_path.glob("-*"))
