"""The clock of the tests: it stands still until a test moves it, or until something sleeps."""

from __future__ import annotations

import time
from typing import List

from maas_usage_check.clock import Clock

MONDAY = 1_795_437_000.0
"""2026-11-23 12:30:00 UTC, a Monday."""


class FixedClock:
    """A wall clock that begins on that Monday. `sleep` moves it and its monotonic clock, and is recorded."""

    def __init__(self, at: float = MONDAY) -> None:
        self.at = at
        self.slept: List[float] = []
        self._began = at - time.monotonic()
        self.clock = Clock(self.now, lambda: self.at - self._began, self.sleep)

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += max(seconds, 1e-6)  # a float of today's size has no smaller step: who waits for it would never end

    def set_by(self, seconds: float) -> None:
        """Set the wall clock, as somebody does by hand: the monotonic clock goes on from where it was."""
        self.at += seconds
        self._began += seconds
