"""What is there to copy collects what the dashboards and the alerts read."""

from __future__ import annotations

import re
from typing import List, Tuple

import pytest
import yaml

from maas_usage_check.config import load

from .agents.programs import ROOT

FILES = [
    "README.md",
    "conf.yaml.example",
    "docs/dashboards.md",
    "docs/other-agents.md",
    "examples/prometheus/conf.yaml",
]
CONFIG_MAP = "examples/kubernetes/configmap.yaml"


def configurations() -> List[Tuple[str, str]]:
    """Find each whole configuration that people copy, with the file that shows it."""
    texts = [(name, (ROOT / name).read_text(encoding="utf-8")) for name in FILES]
    shown = [
        (name, block)
        for name, text in texts
        for block in (re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if name.endswith(".md") else [text])
        if "instances:" in block
    ]
    mapped = yaml.safe_load((ROOT / CONFIG_MAP).read_text(encoding="utf-8"))["data"]["conf.yaml"]
    return [*shown, (CONFIG_MAP, mapped)]


SHIPPED = configurations()


def test_each_agent_of_the_readme_has_a_configuration() -> None:
    assert [name for name, _ in SHIPPED].count("README.md") == 3
    assert {name for name, _ in SHIPPED} == {*FILES, CONFIG_MAP}


@pytest.mark.parametrize(("name", "text"), SHIPPED, ids=[name for name, _ in SHIPPED])
def test_what_is_copied_collects_what_dashboards_and_alerts_read(name: str, text: str) -> None:
    for instance in load(yaml.safe_load(text)):
        assert instance.hourly
        assert {"today", "this_month", "last_7d"} <= {span.name for span in instance.ranges}
