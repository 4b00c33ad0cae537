"""The content of the wheel and the sdist, and the wheel installed beside the Agent's base library."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from maas_usage_check import __version__

from ..conftest import AK, SK, Cloud
from .conftest import need_library
from .programs import ROOT
from .test_datadog_assets import ASSETS, EXAMPLES
from .wheel import call, install

pytestmark = pytest.mark.timeout(300)  # it installs packages

LINKED = "examples/prometheus/alerts"
"""A link to the alert rules, which are an asset, and their tests."""
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


def test_wheel_content(wheel: Path) -> None:
    """The wheel holds the package, its assets and the examples, and nothing else."""
    archive = zipfile.ZipFile(wheel)
    assert {name.split("/")[0] for name in archive.namelist()} == {
        "maas_usage_check",
        f"maas_usage_check-{__version__}.dist-info",
    }
    assert "maas_usage_check/py.typed" in archive.namelist()
    ours = {str(path.relative_to(ASSETS)): path for path in ASSETS.rglob("*") if path.is_file()}
    ours.update({f"examples/{path.relative_to(EXAMPLES)}": path for path in EXAMPLES.rglob("*") if path.is_file()})
    packaged = {name.partition("/assets/")[2]: archive.read(name) for name in archive.namelist() if "/assets/" in name}
    assert packaged == {name: path.read_bytes() for name, path in ours.items() if not name.startswith(LINKED)}


def test_sdist_content(wheel: Path) -> None:
    """The sdist holds no link, and every file of the repository."""
    (sdist,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = {member.name.split("/", 1)[-1]: member for member in archive.getmembers()}
    assert not [name for name, member in members.items() if member.issym() or member.islnk()]
    files = call("git", "-C", ROOT, "ls-files").splitlines()
    wanted = [name for name in files if name != ".gitignore" and (ROOT / name).is_file()]
    assert sorted(set(wanted) - set(members)) == []


def test_metadata(wheel: Path) -> None:
    """The metadata require no agent, and their links work outside the repository."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(archive.read(name))
    needs = metadata.get_all("Requires-Dist") or []
    core = {re.split("[<>=; ]", need)[0] for need in needs if "extra ==" not in need}
    assert core == set("huaweicloudsdkcore msgspec PyYAML rich tzdata tzlocal backports.zoneinfo".split())
    text = metadata.get_payload(decode=True).decode()
    assert "maas-usage-check" in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("https://")] == []
    for minor in range(8, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in metadata.get_all("Classifier", [])


@pytest.mark.usefixtures("real_time")
def test_base_library(wheel: Path, tmp_path: Path, cloud: Cloud) -> None:
    """The wheel installs beside the Agent's base library without changing its pinned versions."""
    need_library("datadog_checks.base")
    constraints = tmp_path / "final_constraints-py3.txt"
    constraints.write_text(f"pymongo=={ANOTHER_PYMONGO}\n")
    python = install(tmp_path / "venv", "-c", constraints, wheel, "datadog-checks-base[deps]", "pymongo")
    version = call(python, "-c", "from importlib.metadata import version; print(version('pymongo'))")
    assert version == ANOTHER_PYMONGO
    written = call(python, "-m", "maas_usage_check", "assets", tmp_path / "assets", cwd=tmp_path).splitlines()
    assert str(tmp_path / "assets" / "examples" / "zabbix" / "template.yaml") in written
    environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HOME": str(tmp_path), "PATH": ""}
    assert call(python, "-c", LOAD_AND_RUN, cloud.url, cwd=tmp_path, env=environ) == "[1.0]"
