"""Runs of the command that is measured, and what they say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

COMMAND = str(Path(sys.executable).parent / "maas-usage-check")
API = "huawei_maas_api"


def duration(config: str, environ: Dict[str, str]) -> float:
    """Run a `collect` that gets all it asks for; return how many seconds the cycle took, as it says itself."""
    command = [COMMAND, "collect", "--config", config]
    *_, last = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.splitlines()
    assert field(last, "failed_queries") == 0, "a cycle that was cut would pass for a fast one"
    return field(last, "duration_seconds")


def cycle(daemon: subprocess.Popen[bytes], instances: int = 1) -> List[str]:
    """Run a cycle of an `execd`; return what it says of each instance."""
    assert daemon.stdin
    assert daemon.stdout
    daemon.stdin.write(b"\n")
    daemon.stdin.flush()
    said: List[str] = []
    while len(said) < instances:
        line = daemon.stdout.readline().decode()
        assert line, "execd has ended"
        if line.startswith(API):
            said.append(line)
    return said


def field(line: str, name: str) -> float:
    """Read a field of a line."""
    return float(line.split(f"{name}=")[1].split(",")[0].rstrip("i"))


def processor(pid: int) -> float:
    """Read how much processor time the threads of a process took, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Read how much memory a process holds, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
