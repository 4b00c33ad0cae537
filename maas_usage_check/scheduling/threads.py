"""Threads that go on to other work when theirs is done: to start one costs more than many a piece of work.

Daemon threads, because one that hangs must not keep the process: the standard thread pool joins its threads at exit.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from typing import Callable, List

NAME = "maas-usage-check"
MOST_IDLE = 8
"""Threads that stay at most when nothing is to be done: a cycle of the default concurrency has no more at once."""

Work = Callable[[], None]

_idle: List[queue.SimpleQueue[Work]] = []
if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_idle.clear)


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
        _idle.append(inbox)
        if len(_idle) > MOST_IDLE:
            with contextlib.suppress(ValueError):  # it has work again
                _idle.remove(inbox)
                return
