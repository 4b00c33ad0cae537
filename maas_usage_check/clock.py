"""The injected clock: tests replace it, and nothing reads the time or waits without it."""

from __future__ import annotations

import threading
import time
from typing import Callable

from msgspec import Struct

CLOCK_TOLERANCE = 15 * 60.0
"""Seconds that a signature's time may differ from the cloud's (the API gateway's page on errors)."""


def _wait(condition: threading.Condition, seconds: float) -> None:
    condition.wait(seconds)


class Clock(Struct, frozen=True):
    """Seconds since 1970, seconds that never jump, and a way to wait for a condition or so many seconds."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Condition, float], object] = _wait
