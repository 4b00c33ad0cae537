"""How a loop waits for word from signals and other threads."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import Optional

AT_ONCE = 1.0
"""Seconds of one wait: a signal that comes just before it begins does not end it, but is heard after it."""


def next_word(told: queue.SimpleQueue[str], seconds: float) -> Optional[str]:
    """Wait so many seconds for the next word; None where there is none."""
    give_up = time.monotonic() + seconds
    while True:
        left = max(0.0, give_up - time.monotonic())
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=min(left, AT_ONCE))
        if left <= AT_ONCE:
            return None
