"""Run `maas_usage_check` with the calendar's clock shifted: `python tests/shifted_clock.py FILE ARGS...`.

FILE holds by how many seconds, as `write_shift` writes it, and is read anew whenever the time is asked for. The
monotonic clock is left alone, as it is where somebody sets the clock of a machine.
"""

from __future__ import annotations

import os
import runpy
import struct
import sys
import time
from typing import Callable

SECONDS = struct.Struct("d")


def write_shift(path: str, seconds: float) -> None:
    """Shift the clocks that read a file; it is made where there is none."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, SECONDS.pack(seconds), 0)  # one aligned word, in place: no reader sees half of it
    finally:
        os.close(file)


def shifted_clock(path: str) -> Callable[[], float]:
    """Make a clock, in seconds since 1970, that goes as a file says."""
    file, true_time = os.open(path, os.O_RDONLY), time.time

    def now() -> float:
        (shift,) = SECONDS.unpack(os.pread(file, SECONDS.size, 0))
        return true_time() + float(shift)

    return now


if __name__ == "__main__":
    time.time = shifted_clock(sys.argv[1])
    sys.argv = sys.argv[1:]
    sys.path[0] = os.getcwd()  # as `python -m` has it
    runpy.run_module("maas_usage_check", run_name="__main__", alter_sys=True)
