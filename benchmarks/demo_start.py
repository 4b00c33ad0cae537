"""Time `demo --serve` from its start until its page answers."""

from __future__ import annotations

import statistics
import subprocess
import time
import urllib.request
from typing import Callable, List

from runs import COMMAND

ROUNDS = 5
LIMIT_S = 5.0


def rows(row: Callable[[str, str, float, float], str]) -> List[str]:
    """Take the median of some runs; `row` formats a row."""
    ready = statistics.median(_seconds() for _ in range(ROUNDS))
    return [
        row("`demo --serve`, three months of history: until the page answers", f"{ready:.2f} s", ready / LIMIT_S, 1)
    ]


def _seconds() -> float:
    began = time.perf_counter()
    demo = subprocess.Popen([COMMAND, "demo", "--serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert demo.stdout
    try:
        url = next(line.strip() for line in demo.stdout if line.startswith("    http://"))
        urllib.request.urlopen(url, timeout=30).read()
        return time.perf_counter() - began
    finally:
        demo.terminate()
        demo.communicate()
