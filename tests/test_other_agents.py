"""The configurations of docs/other-agents.md are what the agents, and this plugin, can read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, List

import pytest
import yaml

from maas_usage_check.config import load_file
from maas_usage_check.surfaces.arguments import LISTEN

from .conftest import Program

PAGE = (Path(__file__).parent.parent / "docs" / "other-agents.md").read_text(encoding="utf-8")


def blocks(language: str) -> List[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def configuration(key: str) -> Any:
    (found,) = [document for document in map(yaml.safe_load, blocks("yaml")) if key in document]
    return found


def test_the_plugins_own_configuration_loads(program: Program) -> None:
    (text,) = [text for text in blocks("yaml") if "instances" in text]
    (instance,) = load_file(program.config(text))
    assert instance.hourly


def test_all_scrape_the_address_that_serve_listens_on_by_default() -> None:
    collector = configuration("receivers")["receivers"]["prometheus"]["config"]
    for document in (collector, configuration("remote_write")):
        (job,) = document["scrape_configs"]
        assert job["static_configs"] == [{"targets": [LISTEN]}]
    (alloy,) = blocks("alloy")
    assert f'"__address__" = "{LISTEN}"' in alloy


def test_the_collectors_pipeline_names_what_there_is() -> None:
    document = configuration("receivers")
    for pipeline in document["service"]["pipelines"].values():
        for kind in ("receivers", "exporters"):
            assert set(pipeline[kind]) <= set(document[kind])


def test_prometheus_takes_the_configuration_for_aom(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("no promtool on PATH")
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration("remote_write")))
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(path)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert ".myhuaweicloud.com" not in PAGE  # the console alone has AOM's address
