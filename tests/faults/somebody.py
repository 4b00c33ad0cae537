"""Another user than root, whose processes the system may hold to limits that do not bind root."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, Sequence

import pytest

from ..conftest import Cloud, FixedClock, Program

NOBODY = 65534


class Somebody:
    """Run the program as a user who owns one folder and nothing else."""

    def __init__(self, folder: Path, uid: int, cloud: Cloud, clock: FixedClock) -> None:
        self.uid = uid
        self.program = Program(folder, cloud, clock)
        self.program.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder / "state"))
        self.plain: List[str] = self.program.command
        self.limit()

    def limit(self, *limits: str) -> None:
        """Hold the program to limits of prlimit."""
        user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        self.program.command = [*(["prlimit", *limits] if limits else []), *user, *self.plain]


def somebody(uid: int, needs: Sequence[str], cloud: Cloud, clock: FixedClock) -> Iterator[Somebody]:
    """Give a user a folder until the test is over; skip where one cannot become that user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for name in needs:
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}")
    # Not under pytest's own folder, which is closed to others.
    folder = Path(tempfile.mkdtemp(prefix="maas-usage-check-"))
    try:
        os.chown(folder, uid, uid)
        one = Somebody(folder, uid, cloud, clock)
        tried = one.program.process("--version")
        if tried.returncode:
            pytest.skip(f"needs a Python that other users may run ({tried.stderr.strip()[-100:]})")
        yield one
    finally:
        shutil.rmtree(folder)
