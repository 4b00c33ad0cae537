"""What CONTRIBUTING.md and the forms of the repository name is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List

import yaml

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "maas_usage_check"


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github" / name).read_text(encoding="utf-8"))


def test_every_target_of_make_is_named_and_there() -> None:
    (line,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)`", PAGE)) == set(line.split()) - {"clean"}


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml))`", PAGE))
    named -= {"maas_usage_check/"}
    assert len(named) > 15
    for name in named:
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name
    for module in re.findall(r"`(?:python -m )?(tools\.\w+)`", PAGE):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_the_rooms_are_those_that_the_linter_holds() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("layers = [")[1].split("]")[0]
    floors = [floor.split(" | ") for floor in re.findall(r'"(.*)"', text)]
    rows = [re.findall(r"`(\w+)/?`", row.split("|")[1]) for row in PAGE.splitlines() if row.startswith("| `")]
    names = {name for floor in floors for name in floor}
    assert sorted(name for row in rows for name in row if name in names) == sorted(names)


def test_the_workflow_calls_the_one_script() -> None:
    (job,) = read("workflows/ci.yml")["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_form_asks_for_what_doctor_prints_and_says_what_that_lacks() -> None:
    body: List[Dict[str, Any]] = read("ISSUE_TEMPLATE/problem.yml")["body"]
    fields = {field["id"]: field for field in body if "id" in field}
    assert len(fields) == len(body) - 1
    assert "maas-usage-check doctor" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"]["required"]
    assert "no access key, no secret key" in fields["doctor"]["attributes"]["description"]
