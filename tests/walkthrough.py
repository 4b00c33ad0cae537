"""Run the commands of a README section, with folders of the test and the emulator."""

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
    """Return the code blocks of a section in order, each with its language; "" is the top of the page."""
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
    """Run the commands of a section and write its configuration; return the output.

    Args:
        section: the title in the README, or the blocks.
        places: replacements for folders, users and programs of the section.
        config: the path of the configuration.
        cloud: the emulator that the configuration queries.
        program: provides the environment of the commands.
        cwd: the checkout.
    """
    printed = ""
    for language, text in blocks(section) if isinstance(section, str) else section:
        for old, new in places.items():
            text = text.replace(old, new)
        if language == "console":
            printed += _run(text, program, cwd)
        elif "instances" in text:
            write_config(cloud, text, config)
    return printed


def write_config(cloud: Cloud, text: str, config: Path) -> None:
    """Write a configuration with the emulator's endpoints."""
    document = yaml.safe_load(text)
    document["instances"][0].update(endpoint=cloud.url, iam_endpoint=cloud.url)
    config.write_text(yaml.safe_dump(document))


def script(path: Path, command: str) -> str:
    """Write a shell script that runs a command; "$@" in it stands for the arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {command}\n")
    path.chmod(0o755)
    return str(path)


def install_script(path: Path, program: Program) -> str:
    """Write a script in place of the installed command, on the clock of the tests."""
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
