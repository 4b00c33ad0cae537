"""Run `maas_usage_check` with a shifted wall clock: `python tests/shifted_clock.py FILE ARGS...`.

FILE contains the shift in seconds, written by `write_shift`, and is read at every call of `time.time`. The monotonic
clock is not shifted, as when the clock of a machine is set.
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
    """Set the shift in a file, which is created if missing."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, SECONDS.pack(seconds), 0)  # one aligned word, in place: a reader never sees a part of it
    finally:
        os.close(file)


def shifted_clock(path: str) -> Callable[[], float]:
    """Return a clock, in seconds since 1970, with the shift of a file."""
    file, real_time = os.open(path, os.O_RDONLY), time.time

    def now() -> float:
        (shift,) = SECONDS.unpack(os.pread(file, SECONDS.size, 0))
        return real_time() + float(shift)

    return now


if __name__ == "__main__":
    time.time = shifted_clock(sys.argv[1])
    sys.argv = sys.argv[1:]
    sys.path[0] = os.getcwd()  # as with `python -m`
    runpy.run_module("maas_usage_check", run_name="__main__", alter_sys=True)
