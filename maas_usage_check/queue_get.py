"""How a thread waits for what other threads and signal handlers put in a queue."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import Optional, TypeVar

AT_ONCE = 1.0
"""Seconds of one wait: a signal that comes just before it begins does not end it, but is heard after it."""

T = TypeVar("T")


def next_of(told: queue.SimpleQueue[T], seconds: float) -> Optional[T]:
    """Wait so many seconds for what comes next; None where nothing does."""
    give_up = time.monotonic() + seconds
    while True:
        # First without a wait: up to CPython 3.12 a short one on a queue that nobody tried before may never end.
        with contextlib.suppress(queue.Empty):
            return told.get_nowait()
        left = give_up - time.monotonic()
        if left <= 0:
            return None
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=min(left, AT_ONCE))
