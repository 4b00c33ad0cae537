"""Scrapes go first: a page, which takes longer than a scrape, pauses while one is encoded."""

from __future__ import annotations

import contextlib
import threading
from typing import Iterator

MAX_PAUSE_S = 1.0
"""However many scrapes come, a page goes on after so long."""


class ScrapeGate:
    """Count the scrapes that are being encoded. Python runs one thread at a time, so a page would double their time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._scrapes = 0

    @contextlib.contextmanager
    def scrape(self) -> Iterator[None]:
        """Let pages pause until the block ends."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def pause(self) -> None:
        """Wait until no scrape is being encoded."""
        self._idle.wait(MAX_PAUSE_S)

    def _add(self, count: int) -> None:
        with self._lock:
            self._scrapes += count
            (self._idle.clear if self._scrapes else self._idle.set)()
