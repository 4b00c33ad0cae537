"""What a person types first: no command, a wrong one, and the rules that `assets` writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ..conftest import Program
from ..program import only_line


def test_no_command(program: Program) -> None:
    done = program.process()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == program.process("--help").stdout != ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("Docter", "E! unknown command `Docter`: did you mean `doctor`?"),
        ("--config PLANTED.yaml serv", "E! unknown command `serv`: did you mean `serve`?"),
        ("--config PLANTED.yaml serve", "E! --config: write the command before it: maas-usage-check serve ..."),
    ],
)
def test_wrong_command(program: Program, arguments: str, line: str) -> None:
    assert only_line(program.process(*arguments.split()), 2) == line


def test_rules_that_assets_writes(program: Program, tmp_path: Path) -> None:
    """promtool runs the tests beside the rules, in each folder that has them."""
    assert program.process("assets", str(tmp_path / "all")).returncode == 0
    folders = [path.parent for path in (tmp_path / "all").rglob("alerts.yml")]
    assert tmp_path / "all" / "prometheus" in folders
    for folder in folders:
        assert (folder / "alerts_test.yml").is_file()
        if shutil.which("promtool"):
            command = ["promtool", "test", "rules", "alerts_test.yml"]
            done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
            assert done.returncode == 0, done.stdout + done.stderr
