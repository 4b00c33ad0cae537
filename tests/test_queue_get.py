"""Words that come while a loop waits."""

from __future__ import annotations

import queue
import threading

from maas_usage_check.queue_get import next_of


def test_a_word_that_is_there_or_comes_ends_the_wait_and_so_does_its_time() -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    told.put("first")
    assert next_of(told, 0) == "first"
    threading.Timer(0.05, told.put, ["second"]).start()
    assert next_of(told, 3600) == "second"
    assert next_of(told, 0.05) is None


def test_each_wait_is_short_and_comes_after_a_look_without_one() -> None:
    """A signal just before a wait does not end it, and SimpleQueue of CPython up to 3.12 may never end a short one."""
    calls = []

    class Silent:
        def get_nowait(self) -> None:
            calls.append(0.0)
            raise queue.Empty

        def get(self, timeout: float) -> str:
            calls.append(timeout)
            if len(calls) < 10:
                raise queue.Empty
            return "SIGTERM"

    assert next_of(Silent(), 3600) == "SIGTERM"  # type: ignore[arg-type]
    assert calls == [0, 1] * 5
