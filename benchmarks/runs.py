"""Run the measured command and its servers, and read the fields of its api points."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

COMMAND = str(Path(sys.executable).parent / "maas-usage-check")
API = "huawei_maas_api"


@contextlib.contextmanager
def process(target: Callable[..., None], *args: Any) -> Iterator[Any]:
    """Run a function in a process; yield the first item of the queue that is its last argument."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    started = context.Process(target=target, args=(*args, results), daemon=True)
    started.start()
    try:
        yield results.get(timeout=30)
    finally:
        started.terminate()
        started.join()


def duration(config: str, environ: Dict[str, str]) -> float:
    """Run a `collect` without failed queries; return its duration_seconds."""
    command = [COMMAND, "collect", "--config", config]
    *_, last = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.splitlines()
    assert field(last, "failed_queries") == 0, "a cycle with failed queries is no measurement"
    return field(last, "duration_seconds")


def cycle(daemon: subprocess.Popen[bytes], instances: int = 1) -> List[str]:
    """Run a cycle of an `execd`; return the api line of each instance."""
    assert daemon.stdin
    assert daemon.stdout
    daemon.stdin.write(b"\n")
    daemon.stdin.flush()
    lines: List[str] = []
    while len(lines) < instances:
        line = daemon.stdout.readline().decode()
        assert line, "execd has ended"
        if line.startswith(API):
            lines.append(line)
    return lines


def field(line: str, name: str) -> float:
    """Return the value of a field of a line."""
    return float(line.split(f"{name}=")[1].split(",")[0].rstrip("i"))


def processor(pid: int) -> float:
    """Return the processor time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
