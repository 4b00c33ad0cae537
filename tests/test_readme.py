"""What the README and the docs show must be so."""

from __future__ import annotations

import re
import shlex
from typing import List, Tuple

import pytest
import yaml

from maas_usage_check.config import Instance, load
from maas_usage_check.errors import Result
from maas_usage_check.metrics import CATALOGUE
from maas_usage_check.surfaces.arguments import read_arguments

from .pages import PAGES, ROOT, read

MADE_WRONG = "configuration-right-and-wrong.md"
SHOWN = [
    (page.relative_to(ROOT).as_posix(), block)
    for page in PAGES
    if page.name != MADE_WRONG and page.name != "README.zh-CN.md" and page.parent.name != "zh-CN"
    for section in read(page)
    for block in section.blocks
]
"""The blocks of the English pages; those of the Chinese ones are the same."""
CONFIGURATIONS = [
    (page, block.content) for page, block in SHOWN if block.language == "yaml" and "instances" in block.content
]
COMMAND = re.compile(r"[$#] (?:runuser -u \S+ -- )?(?:\S*/)?maas-usage-check (.+)")
NOW = 1_795_435_200.0  # 2026-11-23


def commands() -> List[Tuple[str, str]]:
    lines = {
        (page, match[1])
        for page, block in SHOWN
        if block.language == "console"
        for match in map(COMMAND.fullmatch, map(str.strip, block.content.splitlines()))
        if match
    }
    return sorted(lines)


@pytest.mark.parametrize(("page", "text"), CONFIGURATIONS, ids=[page for page, _ in CONFIGURATIONS])
def test_every_configuration_shown_is_valid(page: str, text: str) -> None:
    assert load(yaml.safe_load(text), NOW)


@pytest.mark.parametrize(("page", "arguments"), commands())
def test_every_command_shown_is_understood(page: str, arguments: str) -> None:
    command, *options = shlex.split(arguments.split(" > ")[0])
    assert read_arguments([command, *options]).command == command


def test_the_result_codes_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| .+ \|$", page, re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(result.value, result.name) for result in Result]


@pytest.mark.parametrize("field", [field.name for fields in CATALOGUE.values() for field in fields])
def test_every_field_is_named(field: str) -> None:
    assert f"`{field}`" in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", Instance.__struct_fields__)
def test_every_key_is_in_the_table(key: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| .*`{key}`.* \|", page, re.MULTILINE)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 280


def test_the_readme_has_each_section_that_an_error_sends_people_to() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "maas_usage_check").rglob("*.py"))
    named = set(re.findall(r"\(README, ([^)]+)\)", sources))
    assert named
    assert named <= {section.title for section in read(ROOT / "README.md")}
