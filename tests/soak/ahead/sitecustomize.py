"""Set the wall clock of each Python process ahead by MAAS_SECONDS_AHEAD, but not its monotonic clock.

libfaketime cannot do that: under it `time.sleep` fails since Python 3.11.
"""

from __future__ import annotations

import os
import time

AHEAD_S = float(os.environ["MAAS_SECONDS_AHEAD"])
true_time = time.time


def now() -> float:
    return true_time() + AHEAD_S


time.time = now
