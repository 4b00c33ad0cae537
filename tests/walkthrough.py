"""Follow a section of the README to the letter, on folders of the test and with the emulator as the cloud."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import List, Mapping, Tuple, Union

import yaml

from .agents.programs import ROOT
from .conftest import AK, SK, Cloud, Program

Blocks = List[Tuple[str, str]]
BLOCK = re.compile(r"```(console|yaml)\n(.*?)```", re.DOTALL)


def blocks(title: str, page: str = "README.md") -> Blocks:
    """Read the commands and the configurations of a section, in order, each with its language; "" is the page's top."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return BLOCK.findall((text.split(f"\n## {title}\n")[1] if title else text).split("\n## ")[0])


def follow(
    section: Union[str, Blocks],
    places: Mapping[str, str],
    config: Path,
    cloud: Cloud,
    program: Program,
    cwd: Path = ROOT,
) -> str:
    """Run a section's commands and write its configuration; return what they printed.

    Args:
        section: its title in the README, or its blocks.
        places: replacements for the folders, users and programs of the section.
        config: where the configuration goes.
        cloud: the one that it queries.
        program: the one whose environment the commands get.
        cwd: the checkout.
    """
    printed = ""
    for language, text in blocks(section) if isinstance(section, str) else section:
        for old, new in places.items():
            text = text.replace(old, new)
        if language == "console":
            printed += _run(text, program, cwd)
        elif "instances" in text:
            query(cloud, text, config)
    return printed


def query(cloud: Cloud, text: str, config: Path) -> None:
    """Write a configuration that queries a cloud."""
    document = yaml.safe_load(text)
    document["instances"][0].update(endpoint=cloud.url, iam_endpoint=cloud.url)
    config.write_text(yaml.safe_dump(document))


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
    bash, key = ["bash", "-e", "-c", commands], f"{AK},{SK}\n"
    done = subprocess.run(
        bash, input=key, cwd=cwd, env=program.environ, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("^[EW]! ", done.stderr, re.MULTILINE), done.stderr
    return done.stdout
