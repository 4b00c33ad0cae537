"""Build the wheel from the sdist, and install it into a fresh environment, as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .programs import ROOT


def call(*command: Any, **options: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


def build(folder: Path) -> Path:
    """Build the sdist of this tree and the wheel from it, in one folder; return the wheel."""
    source = folder / "source"  # a copy without the working tree's build folders
    files = call("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in files:
        here, there = ROOT / name, source / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            there.symlink_to(os.readlink(here))
        elif here.is_file():
            there.write_bytes(here.read_bytes())
    call(sys.executable, "-m", "build", "--outdir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def install(folder: Path, *what: Any) -> Path:
    """Make a fresh environment, install into it as the docs say; return its Python."""
    call(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what)
    assert call(python, "-m", "pip", "check", "--disable-pip-version-check") == "No broken requirements found."
    return python
