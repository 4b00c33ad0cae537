"""The example for Categraf against the contract of its exec input, held by a stand-in: see categraf.py."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest

from ..conftest import Cloud, Program
from .categraf import Sample, gather
from .programs import INSTALLED, ROOT, replaced

EXAMPLE = (ROOT / "examples" / "categraf" / "exec.toml").read_text(encoding="utf-8")
NEVER_ZERO = "huawei_maas_usage_total_tokens"


@pytest.fixture
def example(command: str) -> Callable[[str], str]:
    """Name this test's program and configuration in the example."""
    return lambda config: replaced(EXAMPLE, {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config})


def names(samples: List[Sample]) -> List[str]:
    return [name for name, _, _ in samples]


def answered(cloud: Cloud) -> List[int]:
    return sorted(round(answer["total_token"] * 1000) for answer in cloud.answers if "total_token" in answer)


def test_the_example_brings_what_the_cloud_answered(cloud: Cloud, program: Program, example: Any) -> None:
    samples, log = gather(example(program.for_cloud(cloud, "ranges: [last_7d, last_14d]")), program.environ)
    assert log == []
    tokens = sorted(value for name, _, value in samples if name == NEVER_ZERO)
    assert tokens == answered(cloud)
    assert len(tokens) == 2
    assert "huawei_maas_api_up" in names(samples)


def test_warnings_and_failures_cost_no_sample(cloud: Cloud, program: Program, example: Any) -> None:
    text = example(program.for_cloud(cloud, "ranges: [last_1d, last_2h]\nhourly: true"))
    plain = text.replace(" --quiet --exit-zero", "")
    assert plain != text
    samples, log = gather(text, program.environ)
    assert log == []
    assert names(samples).count(NEVER_ZERO) == 2
    assert names(samples).count("huawei_maas_consumed_tokens_total") == 1
    samples, log = gather(plain, program.environ)  # this is what the two options are for
    assert (samples, len(log)) == ([], 1)
    wrong = {**program.environ, "HW_SECRET_KEY": "wrong"}
    samples, log = gather(text, wrong)
    assert log == []
    assert [value for name, _, value in samples if name == "huawei_maas_api_up"] == [0]
    assert NEVER_ZERO not in names(samples)
