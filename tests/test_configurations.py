"""Documented configurations: right ones load and plan their queries, wrong ones get the error shown."""

from __future__ import annotations

import re

import pytest
import yaml

from maas_usage_check.cloud import Statistics
from maas_usage_check.config import load, load_file, load_warnings
from tools.docs.pages import sections

from .agents.programs import ROOT
from .conftest import NOW, Program

MAY = 1_778_414_400.0
"""2026-05-10 12:00:00 UTC: the dates on the page are in that May."""
PAGE = (ROOT / "docs" / "configuration-right-and-wrong.md").read_text(encoding="utf-8")
BLOCKS = [section.blocks for section in sections(PAGE) if section.level == 2]
SECTIONS = [[block.content for block in blocks] for blocks in BLOCKS if len(blocks) == 3]
FILES = {
    "README.md": 3,
    "conf.yaml.example": 1,
    "docs/dashboards.md": 1,
    "docs/other-agents.md": 1,
    "examples/prometheus/conf.yaml": 1,
    "examples/kubernetes/configmap.yaml": 1,
}
"""Files with whole configurations to copy, and how many each has."""


def test_sections() -> None:
    """Every section of the page has a wrong configuration, a right one, and the error."""
    assert len(SECTIONS) == len(BLOCKS) > 10
    assert all([block.language for block in blocks] == ["yaml", "yaml", "text"] for blocks in BLOCKS)


@pytest.mark.parametrize(("wrong", "right", "error"), SECTIONS, ids=[section[2] for section in SECTIONS])
def test_right_and_wrong(program: Program, wrong: str, right: str, error: str) -> None:
    """The wrong configuration gets the error. The right one plans queries for all series, without a warning."""
    config = program.config(wrong)
    done = program("collect", "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert error in done.stderr.replace(config, "conf.yaml").splitlines()
    assert done.returncode == (2 if error.startswith("E! conf.yaml") else 1)
    instances = load_file(program.config(right), MAY)
    for instance in instances:
        plan = Statistics().plan(instance, int(MAY * 1000))
        labels = len(instance.api_keys or ()) if instance.per_api_key else 0
        kinds = len(instance.ranges) * len(instance.service_types) * len(instance.infer_types)
        assert len(plan.series) == kinds * (1 + labels)
        assert all(series.queries for series in plan.series)
        assert not plan.expired
    assert list(load_warnings(instances, MAY)) == []


@pytest.mark.parametrize(("name", "count"), FILES.items())
def test_copied_configurations(name: str, count: int) -> None:
    """Every shipped configuration collects the ranges and hours that dashboards and alerts read."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".md"):
        texts = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "instances:" in block]
    else:
        texts = [yaml.safe_load(text)["data"]["conf.yaml"] if name.endswith("map.yaml") else text]
    assert len(texts) == count
    for configuration in texts:
        for instance in load(yaml.safe_load(configuration), NOW):
            assert instance.hourly
            assert {"today", "this_month", "last_7d"} <= {span.name for span in instance.ranges}
