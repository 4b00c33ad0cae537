"""The Telegraf daemon: a newline in, a batch out."""

from __future__ import annotations

import os
import queue
import threading
from typing import BinaryIO, Sequence

from ..cycle import Collector, Problem, on_sigterm, run_cycle
from ..errors import ConfigError
from ..metrics import encoder
from .problem_log import ProblemLog

CYCLE, END, STOP = "newline", "end of file", "SIGTERM"


def run(collectors: Sequence[Collector], log: ProblemLog, stdin: int, stdout: BinaryIO) -> None:
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
        # After SIGTERM a newline that was waiting is not answered: its cycle would look like a failure.
        if STOP in signals:
            return
        ended = END in signals
        if CYCLE not in signals:
            continue
        try:
            batches = run_cycle(collectors)
        except ConfigError as error:
            log.report([Problem("E", str(error), "configuration")])
            continue
        stdout.write(encode([point for batch in batches for point in batch.points]).encode())
        stdout.flush()
        log.report(problem for batch in batches for problem in batch.problems)


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
