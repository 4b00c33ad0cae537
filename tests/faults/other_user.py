"""Run the program as a user other than root: limits and permissions do not bind root."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, Sequence

import pytest

from ..conftest import Cloud, FixedClock, Program

NOBODY = 65534


class OtherUser:
    """The program, run as a user who owns one folder and nothing else."""

    def __init__(self, folder: Path, uid: int, cloud: Cloud, clock: FixedClock) -> None:
        self.uid = uid
        self.program = Program(folder, cloud, clock)
        self.program.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder / "state"))
        self._command: List[str] = self.program.command
        self.limit()

    def limit(self, *limits: str) -> None:
        """Run the program under limits, which are options of prlimit."""
        user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        self.program.command = [*(["prlimit", *limits] if limits else []), *user, *self._command]


def other_user(uid: int, needs: Sequence[str], cloud: Cloud, clock: FixedClock) -> Iterator[OtherUser]:
    """Yield the user with a folder of their own; skip if this process cannot become that user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for name in needs:
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}")
    # Outside pytest's folder, which other users cannot read.
    folder = Path(tempfile.mkdtemp(prefix="maas-usage-check-"))
    try:
        os.chown(folder, uid, uid)
        user = OtherUser(folder, uid, cloud, clock)
        done = user.program.process("--version")
        if done.returncode:
            pytest.skip(f"needs a Python that other users may run ({done.stderr.strip()[-100:]})")
        yield user
    finally:
        shutil.rmtree(folder)
