"""Words that come while a loop waits."""

from __future__ import annotations

import queue
import threading
import time

from maas_usage_check.waiting import next_of

from .conftest import wait_for


def test_a_word_that_is_there_or_comes_ends_the_wait() -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    told.put("first")
    assert next_of(told, 0) == "first"
    threading.Timer(0.05, told.put, ["second"]).start()
    assert next_of(told, 3600) == "second"


def test_without_a_word_it_ends_in_time() -> None:
    began = time.monotonic()
    assert next_of(queue.SimpleQueue(), 0.05) is None
    assert time.monotonic() - began >= 0.05


def test_a_wait_of_next_to_nothing_ends_too() -> None:
    """SimpleQueue of CPython 3.8 to 3.12 waits for ever where its time is over before it has begun."""
    ended = []

    def wait() -> None:
        for seconds in (0, 1e-6, 1e-5):
            for _ in range(20_000):
                next_of(queue.SimpleQueue(), seconds)
            ended.append(seconds)

    threading.Thread(target=wait, daemon=True).start()
    wait_for(lambda: len(ended) == 3, "all waits to end")


def test_no_single_wait_is_long_for_a_signal_just_before_it_would_end_none() -> None:
    waits = []

    class Silent:
        def get_nowait(self) -> None:
            raise queue.Empty

        def get(self, timeout: float) -> str:
            waits.append(timeout)
            if len(waits) < 5:
                raise queue.Empty
            return "SIGTERM"

    assert next_of(Silent(), 3600) == "SIGTERM"  # type: ignore[arg-type]
    assert max(waits) <= 1
