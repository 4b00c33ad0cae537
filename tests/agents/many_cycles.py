"""Run cycles in one process, one for each line of standard input: `python many_cycles.py SHIFT ARGS...`.

SHIFT is a file as `tests/shifted_clock.py` takes it; what is printed are the exit codes.
"""

from __future__ import annotations

import sys
import time

from tests.shifted_clock import shifted_clock

if __name__ == "__main__":
    time.time = shifted_clock(sys.argv[1])
    from maas_usage_check.cli import main

    for _ in sys.stdin:
        print(main(sys.argv[2:]), flush=True)  # noqa: T201 - the test reads it
