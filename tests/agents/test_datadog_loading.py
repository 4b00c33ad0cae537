"""The class as the Agent finds, makes and feeds it; and the package where there is no Agent."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from typing import Any, Optional

import pytest

from ..conftest import AK, SK, Cloud
from .conftest import need_library

need_library("datadog_checks.base")
need_library("datadog_checks.dev")


def find_check(name: str) -> Optional[type]:
    """Find a check as the Agent's loader does: the first strict subclass without subclasses, by name."""
    from datadog_checks.base import AgentCheck

    module = importlib.import_module(name)
    for attribute in dir(module):
        value = getattr(module, attribute)
        strict = isinstance(value, type) and issubclass(value, AgentCheck) and value is not AgentCheck
        if strict and not value.__subclasses__():
            return value  # type: ignore[no-any-return]
    return None


def load_instance(text: str) -> Any:
    from datadog_checks.base import AgentCheck

    return AgentCheck.load_config(textwrap.dedent(text))


def run_in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.usefixtures("real_time")
def test_the_agent_finds_the_class_feeds_it_an_instance_and_runs_it(
    cloud: Cloud, aggregator: Any, datadog_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    found = find_check("maas_usage_check")
    assert found is not None
    assert found.__name__ == "MaasUsageCheck"
    instance = load_instance(
        f"""\
        endpoint: {cloud.url}
        iam_endpoint: {cloud.url}
        min_collection_interval: 300
        empty_default_hostname: true
        ranges: [last_7d, {{name: may, from: "2026-05-08", to: "2026-05-21"}}]
        tags: ["team:search", "kube_cluster_name:c1"]
        """
    )
    check: Any = found(name="maas_usage_check", init_config=load_instance("{}"), instances=(instance,))
    check.check_id = "maas_usage_check:c0ffee"
    report = check.run()
    assert report == "", json.loads(report)[0]["traceback"]
    aggregator.assert_metric(
        "huawei_maas.api.up", value=1, tags=["region:cn-southwest-2", "team:search", "kube_cluster_name:c1"]
    )
    assert len(check.get_warnings()) == 1  # of May the cloud holds nothing any more


def test_the_package_shows_one_check_class_alone() -> None:
    from datadog_checks.base import AgentCheck

    module = importlib.import_module("maas_usage_check")
    values = [getattr(module, name) for name in dir(module)]
    assert [value.__name__ for value in values if isinstance(value, type) and issubclass(value, AgentCheck)] == [
        "MaasUsageCheck"
    ]


def test_the_package_works_where_the_base_library_is_not_installed() -> None:
    code = """
        import sys
        sys.modules["datadog_checks"] = None  # as if it were not there
        import maas_usage_check, maas_usage_check.cli
        assert "MaasUsageCheck" not in dir(maas_usage_check)
        assert not hasattr(maas_usage_check, "MaasUsageCheck")
        print(maas_usage_check.__version__)
    """
    assert run_in_a_new_process(textwrap.dedent(code)) == importlib.import_module("maas_usage_check").__version__


def test_the_command_line_does_not_import_the_base_library() -> None:
    code = "import sys, maas_usage_check.cli; print({'datadog_checks', 'requests', 'urllib3'} & set(sys.modules))"
    assert run_in_a_new_process(code) == "set()"
