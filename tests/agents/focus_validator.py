"""Run focus-validator, which checks a FOCUS file by the rules of the specification."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path
from typing import Sequence, Set
from xml.etree import ElementTree

import pytest

from .programs import ROOT, missing, run

VERSION = "2.2.1"
REQUIREMENTS = (f"focus-validator=={VERSION}", "pyarrow<22")
HOME = ROOT / ".tools" / f"focus-validator-{VERSION}"
"""Its environment, kept between runs: it takes half a minute to install."""
SITE_PACKAGES = HOME / "lib" / "python3.12" / "site-packages"
RULES = "1.2"
ENVIRON = dict(os.environ)
"""The developer's, before a test changes it: for pyenv, pip's settings and a proxy."""


def violated_rules(csv_text: str, folder: Path, criteria: Sequence[str] = ()) -> Set[str]:
    """Return the ids of the rules that a file violates.

    Args:
        csv_text: the file.
        folder: for the validator's input and output.
        criteria: what the provider supports; rules on anything else are skipped.
    """
    program = _install()
    (folder / "focus.csv").write_text(csv_text, encoding="utf-8")
    (folder / "rules.xml").unlink(missing_ok=True)
    command = [
        str(program), f"--data-file={folder / 'focus.csv'}", f"--validate-version={RULES}", "--block-download",
        "--output-type=unittest", f"--output-destination={folder / 'rules.xml'}",
    ]  # fmt: skip
    if criteria:
        command.append(f"--applicability-criteria={','.join(criteria)}")
    done = run(command, SITE_PACKAGES)  # it opens a list of currencies relative to its working folder
    assert done.returncode == 0, done.stderr[-3000:]
    cases = list(ElementTree.parse(folder / "rules.xml").iter("testcase"))
    assert len(cases) > 500, "the rules of 1.2"
    return {case.attrib["name"].split(" ")[0] for case in cases if [*case.iter("failure"), *case.iter("error")]}


def _install() -> Path:
    """Install the validator, once for all runs; return its program."""
    program, installed = HOME / "bin" / "focus-validator", HOME / "installed"
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            python = _call(ROOT / "scripts" / "find-python", "3.12")
            if python.returncode:  # also in CI, as the unit tests on other versions
                pytest.skip("focus-validator needs Python 3.12, which is not installed")
            for step in (
                (python.stdout.strip(), "-m", "venv", HOME),
                (HOME / "bin" / "pip", "install", "--quiet", *REQUIREMENTS),
            ):
                done = _call(*step)
                if done.returncode:
                    missing(f"focus-validator: {done.stderr.strip()[-300:]}")
            installed.touch()
    return program


def _call(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", env=ENVIRON, check=False)
