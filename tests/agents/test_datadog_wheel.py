"""The wheel in fresh environments, with the base library in the place of the Agent. Slow: it installs for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import AK, SK, Cloud
from .conftest import need_library
from .wheel import call, install

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(300)  # it installs for real

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


def load_and_run(python: Path, cloud: Cloud, folder: Path) -> str:
    environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HOME": str(folder), "PATH": ""}
    return call(python, "-c", LOAD_AND_RUN, cloud.url, cwd=folder, env=environ)


@pytest.mark.usefixtures("real_time")
def test_the_wheel_goes_with_the_base_library_and_the_agents_own_pin_stays(
    wheel: Path, tmp_path: Path, cloud: Cloud
) -> None:
    constraints = tmp_path / "final_constraints-py3.txt"
    constraints.write_text(f"pymongo=={ANOTHER_PYMONGO}\n")
    python = install(tmp_path / "venv", "-c", constraints, wheel, "datadog-checks-base[deps]", "pymongo")
    version = call(python, "-c", "from importlib.metadata import version; print(version('pymongo'))")
    assert version == ANOTHER_PYMONGO
    assert load_and_run(python, cloud, tmp_path) == "[1.0]"
