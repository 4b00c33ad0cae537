"""The daemon for Telegraf: one cycle, one batch per newline on standard input."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from typing import Callable, Sequence

from ..collection import Collector, Problem, on_sigterm, run_cycle
from ..errors import ConfigError
from ..metrics import find_encoder
from ..queue_get import next_of
from .problem_log import CONFIGURATION, ProblemLog
from .stdout_writer import EOF_TIMEOUT, SIGTERM_TIMEOUT, StdoutWriter, read_some

CYCLE, END, STOP = "newline", "end of file", "SIGTERM"


def run(collectors: Sequence[Collector], log: ProblemLog, stdin: int, writer: StdoutWriter) -> None:
    """Run a cycle for every newline. At end of file the running cycle finishes; SIGTERM cancels it.

    Newlines that arrive during a cycle count as one. A batch is one write of whole lines. Raise MaasError if the last
    one is not read.
    """
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def hear(signal: str) -> None:
        asked.put(signal)
        if signal in (END, STOP):
            writer.stop(EOF_TIMEOUT if signal == END else SIGTERM_TIMEOUT)

    on_sigterm(collectors, lambda: hear(STOP))
    listener = threading.Thread(target=_listen, args=(stdin, hear), daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be started: then newlines are read between the cycles
        listener.start()
    encode = find_encoder("influx")
    ended = False
    while not ended:
        while listener.ident is None and asked.empty():
            _hear_once(stdin, hear)
        signals = [next_of(asked, math.inf)]
        while not asked.empty():
            signals.append(asked.get())
        # Drop queued newlines after SIGTERM: their cycle would look like a failure.
        if STOP in signals:
            return
        ended = END in signals
        if CYCLE not in signals:
            continue
        try:
            batches = run_cycle(collectors)
        except ConfigError as error:
            log.report([Problem("E", str(error), CONFIGURATION)])
            continue
        writer.write(encode([point for batch in batches for point in batch.points]).encode())
        answered = {CONFIGURATION, *(problem_key for batch in batches for problem_key in batch.answered)}
        log.report((problem for batch in batches for problem in batch.problems), answered)


def _listen(stdin: int, hear: Callable[[str], None]) -> None:
    # Not through sys.stdin: a thread that holds its lock at exit aborts the interpreter.
    while _hear_once(stdin, hear):
        pass


def _hear_once(stdin: int, hear: Callable[[str], None]) -> bool:
    read = read_some(stdin)
    if not read:
        hear(END)
    elif b"\n" in read:
        hear(CYCLE)
    return bool(read)
