"""Check names on pages: files, metrics, commands, configuration keys, result codes, sections."""

from __future__ import annotations

import re
import shlex
from typing import Iterator

import yaml

from maas_usage_check.commands.arguments import read_arguments
from maas_usage_check.config import Instance, load
from maas_usage_check.errors import ConfigError, Result
from maas_usage_check.metrics import CATALOGUE, COUNT
from maas_usage_check.metrics.datadog import metric_name

from .pages import Pages, Problem

ASSETS = "maas_usage_check/assets"
FILE = (
    r"(?<![\w/.~-])((?:examples|docs|tests|tools|benchmarks|scripts|maas_usage_check|datadog|grafana|prometheus)"
    r"/(?:[\w./-]*\w)?/?)(?!\.?[\w*{<:/-])"
)
COMMAND = r"^\s*[$#] (?:runuser -u \S+ -- )?(?:\S*/)?maas-usage-check ([^>\n]+)"
METRIC = r"(?<![\w.])huawei_maas(?:_\w+|\.\w+(?:\.\w*)?)"
RESULT = re.compile(r"\d+ [A-Z_]+")
TODAY = 1_795_435_200.0
"""2026-11-23: the dates of the pages are around it."""
MADE_WRONG = "docs/configuration-right-and-wrong.md"
"""The page with wrong configurations on purpose; a test loads them."""
LONGEST_README = 280


def files(pages: Pages) -> Iterator[Problem]:
    """Report files and folders that are not in the repository and not among the files of `assets`."""
    for page in pages:
        if page.name != "CHANGELOG.md":
            for line, name in page.matches(FILE):
                if not any((pages.root / folder / name).exists() for folder in (".", ASSETS)):
                    yield page.problem(f"{name}: no such file", line)


def metrics(pages: Pages) -> Iterator[Problem]:
    """Report measurements and metrics that are not in the catalogue."""
    known = set(CATALOGUE)
    for name, fields in CATALOGUE.items():
        for field in fields:
            known.add(metric_name(name, field.name))
            known.add(f"{name}_{field.name}{'_total' if field.nature == COUNT else ''}")
    for page in pages.english():
        for line, name in page.matches(METRIC):
            begins = name.endswith(("_", ".")) and any(other.startswith(name) for other in known)
            if name not in known and not begins:
                yield page.problem(f"{name}: no such metric", line)


def queries(pages: Pages) -> Iterator[Problem]:
    """Report queries for unknown fields, and Datadog's queries of a count without .as_count()."""
    natures = {metric_name(name, field.name): field.nature for name, fields in CATALOGUE.items() for field in fields}
    for page in pages.english():
        for line, query in page.matches(r'\w+\("\w+"\) FROM "huawei_maas\w*"'):
            field, name = re.findall(r'"(\w+)"', query)
            if name not in CATALOGUE or field not in {each.name for each in CATALOGUE[name]}:
                yield page.problem(f"{name} has no field {field}", line)
        for line, query in page.matches(r"huawei_maas\.\w+\.\w+\{[^}]*\}(?: by \{[^}]*\})?(?:\.as_count\(\))?"):
            metric = query.partition("{")[0]
            if query.endswith(".as_count()") != (natures.get(metric) == COUNT):
                yield page.problem(f"{metric} is a {natures.get(metric)}: see .as_count()", line)


def commands(pages: Pages) -> Iterator[Problem]:
    """Report commands that the program rejects."""
    for page in pages.english():
        for line, arguments in page.matches(COMMAND):
            try:
                read_arguments(shlex.split(arguments, comments=True))
            except ConfigError as error:
                yield page.problem(str(error), line)


def configurations(pages: Pages) -> Iterator[Problem]:
    """Report configurations that do not load."""
    for page in pages.english():
        for section in page.sections:
            for language, text in section.blocks:
                if language == "yaml" and "instances" in text and page.name != MADE_WRONG:
                    try:
                        load(yaml.safe_load(text), TODAY)
                    except (ConfigError, yaml.YAMLError) as error:
                        yield page.problem(str(error), section.line)


def keys(pages: Pages) -> Iterator[Problem]:
    """Report keys of the configuration without a row in the table of keys."""
    page = pages.read("docs/configuration.md")
    named = {name for _, cells in page.tables() for name in re.findall(r"`(\w+)`", cells[0])}
    for key in Instance.__struct_fields__:
        if key not in named:
            yield page.problem(f"no row of the table of keys names `{key}`")


def result_codes(pages: Pages) -> Iterator[Problem]:
    """Report result codes that are missing, out of order or have another name."""
    for name in ("docs/troubleshooting.md", "docs/zh-CN/troubleshooting.md"):
        page = pages.read(name)
        rows = [(line, tuple(cells[:2])) for line, cells in page.tables() if RESULT.fullmatch(" ".join(cells[:2]))]
        expected = [(str(result.value), result.name) for result in Result]
        for line, row in rows:
            if row not in expected:
                yield page.problem(f"no result code is {' '.join(row)}", line)
        if [row for _, row in rows if row in expected] != expected:
            missing = [name for code, name in expected if (code, name) not in {row for _, row in rows}]
            yield page.problem(f"the result codes are not all there in order: {', '.join(missing) or 'the order'}")


def readme(pages: Pages) -> Iterator[Problem]:
    """Report a README that is too long, or without a section that an error names."""
    page = pages.read("README.md")
    length = len(page.text.splitlines())
    if length > LONGEST_README:
        yield page.problem(f"{length} lines, {LONGEST_README} are allowed", length)
    titles = {section.title for section in page.sections}
    for path in (pages.root / "maas_usage_check").rglob("*.py"):
        for title in re.findall(r"\(README, ([^)]+)\)", path.read_text(encoding="utf-8")):
            if title not in titles:
                yield page.problem(f"no section {title!r}, which {path.name} names in an error")
