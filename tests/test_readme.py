"""What the README says must be so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import List

import pytest
import yaml

from maas_usage_check.config import Instance, load
from maas_usage_check.errors import Result
from maas_usage_check.metrics import CATALOGUE
from maas_usage_check.surfaces.arguments import read_arguments

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NOW = 1_795_435_200.0  # 2026-11-23


def blocks(language: str) -> List[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if "instances" in text])
def test_every_configuration_shown_is_valid(text: str) -> None:
    assert load(yaml.safe_load(text), NOW)


@pytest.mark.parametrize(
    "line",
    sorted(
        {line[2:] for text in blocks("console") for line in text.splitlines() if line.startswith("$ maas-usage-check")}
    ),
)
def test_every_command_shown_is_understood(line: str) -> None:
    assert read_arguments(shlex.split(line)[1:]).command


def test_the_result_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| .+ \|$", README, re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(result.value, result.name) for result in Result]


@pytest.mark.parametrize("field", [field.name for fields in CATALOGUE.values() for field in fields])
def test_every_field_is_named(field: str) -> None:
    assert f"`{field}`" in README


@pytest.mark.parametrize("key", Instance.__struct_fields__)
def test_every_key_is_in_the_table(key: str) -> None:
    assert re.search(rf"^\| .*`{key}`.* \|", README, re.MULTILINE)
