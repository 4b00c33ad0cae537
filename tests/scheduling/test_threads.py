from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from typing import List

import pytest

from maas_usage_check.scheduling.threads import MOST_IDLE, run_apart

from ..conftest import wait_for


def test_a_thread_goes_on_to_other_work_when_its_own_is_done() -> None:
    threads: List[threading.Thread] = []

    def is_used_again() -> bool:
        assert run_apart(lambda: threads.append(threading.current_thread()))
        return len(set(threads)) < len(threads)

    wait_for(is_used_again, "a thread to come back")


def test_after_a_peak_few_threads_stay() -> None:
    threads: List[threading.Thread] = []
    release = threading.Event()

    def work() -> None:
        threads.append(threading.current_thread())
        release.wait(30)

    for _ in range(3 * MOST_IDLE):
        run_apart(work)
    wait_for(lambda: len(threads) == 3 * MOST_IDLE, "all to be under way")
    release.set()
    wait_for(lambda: sum(thread.is_alive() for thread in threads) <= MOST_IDLE, "the others to end")


def test_what_was_done_is_let_go_of() -> None:
    class Batch:
        """What a piece of work may hold."""

    batch, done = Batch(), threading.Event()
    kept = weakref.ref(batch)
    run_apart(lambda batch=batch: done.set())  # type: ignore[misc]
    del batch
    assert done.wait(20)
    wait_for(lambda: kept() is None, "the thread to let go of it")


FORKS = """
import os, threading
from maas_usage_check.scheduling import run_apart

def is_done():
    done = threading.Event()
    run_apart(done.set)
    return done.wait(20)

assert is_done()
os._exit(os.wait()[1] >> 8) if os.fork() else os._exit(0 if is_done() else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], timeout=50).returncode == 0
