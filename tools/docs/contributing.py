"""Check CONTRIBUTING.md (targets, files, rooms), the workflow and the issue form."""

from __future__ import annotations

import re
from typing import Any, Iterator

import yaml

from .pages import Pages, Problem

PAGE = "CONTRIBUTING.md"
WORKFLOW = ".github/workflows/ci.yml"
FORM = ".github/ISSUE_TEMPLATE/problem.yml"
RUN = ".ci/run"


def targets(pages: Pages) -> Iterator[Problem]:
    """Report targets of make that are missing on the page, and named ones that do not exist."""
    page = pages.read(PAGE)
    (line,) = re.findall(r"^\.PHONY: (.*)$", pages.source("Makefile"), re.MULTILINE)
    there, named = set(line.split()), {target: number for number, target in page.matches("`make ([a-z]+)`")}
    for target in sorted(named.keys() - there):
        yield page.problem(f"make {target}: no such target", named[target])
    for target in sorted(there - {"clean"} - named.keys()):
        yield page.problem(f"make {target} is not named")


def files(pages: Pages) -> Iterator[Problem]:
    """Report files and modules that do not exist in the repository or the package."""
    page = pages.read(PAGE)
    for line, name in page.matches(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml))`"):
        if not any((pages.root / folder / name).exists() for folder in (".", "maas_usage_check")):
            yield page.problem(f"{name}: no such file", line)
    for line, module in page.matches(r"`(?:python -m )?(tools\.\w+)`"):
        path = pages.root / module.replace(".", "/")
        if not path.with_suffix(".py").exists() and not path.is_dir():
            yield page.problem(f"{module}: no such module", line)


def rooms(pages: Pages) -> Iterator[Problem]:
    """Report rooms of import-linter's contract that are not exactly once in the table of rooms."""
    page = pages.read(PAGE)
    layers = pages.source("pyproject.toml").split("layers = [")[1].split("]")[0]
    shown = [name for _, cells in page.tables() for name in re.findall(r"`(\w+)/?`", cells[0])]
    for layer in re.findall(r'"(.*)"', layers):
        for name in layer.split(" | "):
            if shown.count(name) != 1:
                yield page.problem(f"the table of rooms has {name} {shown.count(name)} times")


def workflow(pages: Pages) -> Iterator[Problem]:
    """Report a workflow that does more than call the one script."""
    (job,) = yaml.safe_load(pages.source(WORKFLOW))["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    if runs[-1] != RUN:
        yield Problem(WORKFLOW, 1, f"the last step runs {runs[-1]!r}, not {RUN}")
    if not (pages.root / RUN).stat().st_mode & 0o111:
        yield Problem(RUN, 1, "it is not executable")


def form(pages: Pages) -> Iterator[Problem]:
    """Report an issue form without a required field for the output of doctor, or without its note on keys."""
    body = yaml.safe_load(pages.source(FORM))["body"]
    doctor: Any = next((field for field in body if field.get("id") == "doctor"), None)
    if not doctor or "maas-usage-check doctor" not in doctor["attributes"]["label"]:
        yield Problem(FORM, 1, "no field asks for what maas-usage-check doctor prints")
    elif not doctor["validations"]["required"]:
        yield Problem(FORM, 1, "the field doctor is not required")
    elif "no access key, no secret key" not in doctor["attributes"]["description"]:
        yield Problem(FORM, 1, "the field doctor does not say that the output has no access key, no secret key")
