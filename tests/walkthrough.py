"""Follow a section of the README to the letter, on folders of the test and with the emulator as the cloud."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import yaml

from .conftest import Cloud, Program
from .pages import ROOT

BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)


def blocks(title: str) -> List[Tuple[str, str]]:
    """Take the commands and the configurations out of a section, in order, each with its language."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    return BLOCK.findall(page.split(f"\n## {title}\n")[1].split("\n## ")[0])


def follow(title: str, places: Dict[str, str], config: Path, cloud: Cloud, program: Program, cwd: Path = ROOT) -> str:
    """Run the commands of a section and write its configuration; return what they printed.

    Args:
        title: the section's.
        places: what stands for the folders, users and programs of the section.
        config: where the configuration goes.
        cloud: whom it asks.
        program: whose environment the commands get.
        cwd: the checkout.
    """
    said = ""
    for language, text in blocks(title):
        for old, new in places.items():
            text = text.replace(old, new)
        if language == "console":
            said += _run(text, program, cwd)
        elif "instances" in text:
            document = yaml.safe_load(text)
            document["instances"][0].update(endpoint=cloud.url, iam_endpoint=cloud.url)
            config.write_text(yaml.safe_dump(document))
    return said


def script(path: Path, command: str) -> str:
    """Write a program that runs a command; "$@" in it is what the program is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {command}\n")
    path.chmod(0o755)
    return str(path)


def this_program(path: Path) -> str:
    """Write a program that stands for the installed command."""
    return script(path, f'{sys.executable} -m maas_usage_check "$@"')


def _run(text: str, program: Program, cwd: Path) -> str:
    lines = [re.sub("^[#$] ", "", line) for line in text.splitlines()]
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        cwd=cwd, env=program.environ, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith(("E! ", "W! "))] == []
    return done.stdout
