"""Follow a section of the README to the letter, on folders of the test and with the emulator as the cloud."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import List, Mapping, Tuple

import yaml

from .agents.programs import ROOT
from .conftest import Cloud, Program

BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)


def blocks(title: str) -> List[Tuple[str, str]]:
    """Read the commands and the configurations of a section, in order, each with its language."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    return BLOCK.findall(page.split(f"\n## {title}\n")[1].split("\n## ")[0])


def follow(
    title: str, places: Mapping[str, str], config: Path, cloud: Cloud, program: Program, cwd: Path = ROOT
) -> str:
    """Run the commands of a section and write its configuration; return what they printed.

    Args:
        title: the section's.
        places: replacements for the folders, users and programs of the section.
        config: where the configuration goes.
        cloud: the one that it queries.
        program: the one whose environment the commands get.
        cwd: the checkout.
    """
    printed = ""
    for language, text in blocks(title):
        for old, new in places.items():
            text = text.replace(old, new)
        if language == "console":
            printed += _run(text, program, cwd)
        elif "instances" in text:
            document = yaml.safe_load(text)
            document["instances"][0].update(endpoint=cloud.url, iam_endpoint=cloud.url)
            config.write_text(yaml.safe_dump(document))
    return printed


def script(path: Path, command: str) -> str:
    """Write a program that runs a command; "$@" in it is what the program is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {command}\n")
    path.chmod(0o755)
    return str(path)


def installed(path: Path, program: Program) -> str:
    """Write a program that stands for the installed command, on the clock of the tests."""
    return script(path, f'{shlex.join(program.command)} "$@"')


def _run(text: str, program: Program, cwd: Path) -> str:
    commands = re.sub("^[#$] ", "", text, flags=re.MULTILINE)
    bash = ["bash", "-e", "-c", commands]
    done = subprocess.run(
        bash, cwd=cwd, env=program.environ, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("^[EW]! ", done.stderr, re.MULTILINE), done.stderr
    return done.stdout
