"""The wheel in fresh environments, with the base library in the place of the Agent. Slow: it installs for real."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ..conftest import AK, SK, Cloud
from .conftest import need_library

need_library("datadog_checks.base")
need_library("build")

ROOT = Path(__file__).parents[2]
ANOTHER_PYMONGO = "4.8.0"
LOAD_AND_RUN = """
import sys
import maas_usage_check
from datadog_checks.base.stubs import aggregator

assert "site-packages" in maas_usage_check.__file__, maas_usage_check.__file__
url = sys.argv[1]
check = maas_usage_check.MaasUsageCheck(
    name="maas_usage_check", init_config={}, instances=({"endpoint": url, "iam_endpoint": url},)
)
check.check_id = "maas_usage_check:c0ffee"
print(check.run() or [metric.value for metric in aggregator.metrics("huawei_maas.api.up")])
"""


def call(*command: Any, **options: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"  # a copy, so that no build folder of the tree's own gets in
    files = call("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def install(folder: Path, *what: Any) -> Path:
    """Make a fresh environment of this Python, install into it as the README says, and return its Python."""
    call(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what)
    assert call(python, "-m", "pip", "check", "--disable-pip-version-check") == "No broken requirements found."
    return python


def load_and_run(python: Path, cloud: Cloud, folder: Path) -> str:
    environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HOME": str(folder), "PATH": ""}
    return call(python, "-c", LOAD_AND_RUN, cloud.url, cwd=folder, env=environ)


def test_the_wheel_holds_all_assets_and_the_marker_of_types(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "maas_usage_check"
    files = [path for path in (package / "assets").rglob("*") if path.is_file()]
    assert {path.relative_to(ROOT).as_posix() for path in [*files, package / "py.typed"]} <= held
    assert not any(name.startswith("tests") for name in held)


def test_the_wheel_and_the_base_library_go_together(wheel: Path, tmp_path: Path, cloud: Cloud) -> None:
    python = install(tmp_path / "venv", wheel, "datadog-checks-base[deps]")
    assert load_and_run(python, cloud, tmp_path) == "[1.0]"


def test_the_agents_own_pin_of_pymongo_stays(wheel: Path, tmp_path: Path, cloud: Cloud) -> None:
    constraints = tmp_path / "final_constraints-py3.txt"
    constraints.write_text(f"pymongo=={ANOTHER_PYMONGO}\n")
    python = install(tmp_path / "venv", "-c", constraints, wheel, "datadog-checks-base[deps]", "pymongo")
    version = call(python, "-c", "from importlib.metadata import version; print(version('pymongo'))")
    assert version == ANOTHER_PYMONGO
    assert load_and_run(python, cloud, tmp_path) == "[1.0]"
