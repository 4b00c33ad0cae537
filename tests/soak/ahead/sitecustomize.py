"""Set the wall clock of each Python process ahead by MAAS_SECONDS_AHEAD; the monotonic clock is left alone.

libfaketime cannot do that: with it `time.sleep` fails since Python 3.11.
"""

from __future__ import annotations

import os
import time

AHEAD = float(os.environ["MAAS_SECONDS_AHEAD"])
true_time = time.time


def now() -> float:
    return true_time() + AHEAD


time.time = now
