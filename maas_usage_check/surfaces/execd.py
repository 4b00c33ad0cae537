"""The Telegraf daemon: a newline in, a batch out."""

from __future__ import annotations

import os
import queue
import threading
from typing import BinaryIO, Sequence

from ..cycle.collector import Collector
from ..cycle.problems import Problem
from ..cycle.run import on_sigterm, run_cycle
from ..errors import ConfigError
from ..metrics.formats import encoder
from .problem_log import Troubles

CYCLE, END, STOP = "newline", "end of file", "SIGTERM"


def run(collectors: Sequence[Collector], troubles: Troubles, stdin: int, stdout: BinaryIO) -> None:
    """Run a cycle for every newline until end of file, which lets the running cycle finish, or SIGTERM, which cuts it.

    Newlines that arrive during a cycle count as one. A batch is one write of whole lines, flushed.
    """
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    on_sigterm(collectors, lambda: asked.put(STOP))
    threading.Thread(target=_listen, args=(stdin, asked), daemon=True).start()
    encode = encoder("influx")
    ended = False
    while not ended:
        signals = [asked.get()]
        while not asked.empty():
            signals.append(asked.get())
        if STOP in signals:  # nor is a newline answered that was waiting: its cycle would be a false failure
            return
        ended = END in signals
        if CYCLE not in signals:
            continue
        try:
            batches = run_cycle(collectors)
        except ConfigError as error:
            troubles.report([Problem("E", str(error), "configuration")])
            continue
        stdout.write(encode([point for batch in batches for point in batch.points]).encode())
        stdout.flush()
        troubles.report(problem for batch in batches for problem in batch.problems)


def _listen(stdin: int, asked: queue.SimpleQueue[str]) -> None:
    # Not through sys.stdin: a thread that holds its lock at exit brings the interpreter down.
    while True:
        try:
            read = os.read(stdin, 4096)
        except OSError:
            read = b""
        if not read:
            asked.put(END)
            return
        if b"\n" in read:
            asked.put(CYCLE)
