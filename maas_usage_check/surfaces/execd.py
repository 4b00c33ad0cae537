"""The Telegraf daemon: a newline in, a batch out."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Sequence

from ..cycle import Collector, Problem, on_sigterm, run_cycle
from ..errors import ConfigError, MaasError
from ..metrics import encoder
from .output import Output, read_some
from .problem_log import ProblemLog

CYCLE, END, STOP = "newline", "end of file", "SIGTERM"


def run(collectors: Sequence[Collector], log: ProblemLog, stdin: int, output: Output) -> None:
    """Run a cycle for every newline until end of file, which lets the running cycle finish, or SIGTERM, which cuts it.

    Newlines that arrive during a cycle count as one. A batch is one write of whole lines. Raise MaasError where no
    thread can be started to listen, or nobody reads the last batch.
    """
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def hear(signal: str) -> None:
        asked.put(signal)
        if signal in (END, STOP):
            output.end()

    on_sigterm(collectors, lambda: hear(STOP))
    try:
        threading.Thread(target=_listen, args=(stdin, hear), daemon=True).start()
    except RuntimeError:
        raise MaasError("no thread can be started to listen: raise the limit of processes (ulimit -u)") from None
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
        output.put(encode([point for batch in batches for point in batch.points]).encode())
        log.report(problem for batch in batches for problem in batch.problems)


def _listen(stdin: int, hear: Callable[[str], None]) -> None:
    # Not through sys.stdin: a thread that holds its lock at exit brings the interpreter down.
    while True:
        read = read_some(stdin)
        if not read:
            hear(END)
            return
        if b"\n" in read:
            hear(CYCLE)
