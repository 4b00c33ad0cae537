"""Threads that go on to other work when theirs is done: to start one costs more than many a piece of work.

Daemon threads, because one that hangs must not keep the process: the standard thread pool joins its threads at exit.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import Callable, List

NAME = "maas-usage-check"
MOST_IDLE = 8
"""Threads that stay when nothing is to be done: a cycle of the default concurrency needs six."""

Work = Callable[[], None]

_idle: List[queue.SimpleQueue[Work]] = []


def run_apart(work: Work) -> bool:
    """Have work done by a thread that is idle, or a new one; False where the system lets this user have no more."""
    with contextlib.suppress(IndexError):
        _idle.pop().put(work)
        return True
    inbox: queue.SimpleQueue[Work] = queue.SimpleQueue()
    inbox.put(work)
    try:
        threading.Thread(target=_work, args=(inbox,), daemon=True, name=NAME).start()
    except RuntimeError:
        return False
    return True


def _work(inbox: queue.SimpleQueue[Work]) -> None:
    while True:
        inbox.get()()
        if len(_idle) >= MOST_IDLE:
            return
        _idle.append(inbox)
