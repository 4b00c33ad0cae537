"""The injected clock: tests replace it, and nothing reads the time or waits without it."""

from __future__ import annotations

import time
from typing import Callable

from msgspec import Struct

CLOCK_TOLERANCE = 15 * 60.0
"""Seconds that a signature's time may differ from the cloud's (the API gateway's page on errors)."""


class Clock(Struct, frozen=True):
    """The current time (seconds since 1970), monotonic seconds, and sleep (seconds)."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
