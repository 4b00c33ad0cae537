"""The clock of the tests: it changes only when a test sets it, or when the code sleeps."""

from __future__ import annotations

import threading
import time
from typing import List

from maas_usage_check.clock import Clock

MONDAY = 1_795_437_000.0
"""2026-11-23 12:30:00 UTC, a Monday."""


class FixedClock:
    """A clock that starts at `at`. `sleep` advances its wall and monotonic time, and is recorded."""

    def __init__(self, at: float = MONDAY) -> None:
        self.at = at
        self.slept: List[float] = []
        self._began = at - int(time.monotonic())  # whole seconds: a deadline is not a rounding error away
        self.clock = Clock(self.now, lambda: self.at - self._began, self.wait)

    def now(self) -> float:
        return self.at

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Move on by so many seconds, unless something happens first: a request in flight may end."""
        if not condition.wait(0.01):
            self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += max(seconds, 1e-6)  # less would be lost in rounding, and a wait would never end

    def set_by(self, seconds: float) -> None:
        """Set the wall clock, as by hand: the monotonic clock does not change."""
        self.at += seconds
        self._began += seconds
