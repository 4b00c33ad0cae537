"""The daemon for Telegraf: one cycle, one batch per newline on standard input, or per signal."""

from __future__ import annotations

import math
import signal
import threading
from typing import Callable, List, Sequence

from ..collection import Collector, run_cycle
from ..errors import ConfigError, Problem
from ..metrics import Point, find_encoder
from ..watchdog import start_thread, wait_for
from .problem_log import CONFIGURATION, ProblemLog
from .runner import on_sigterm
from .stdout_writer import EOF_TIMEOUT, SIGTERM_TIMEOUT, StdoutWriter, read_some

SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2")
"""Telegraf sends one of them in place of a newline if its `signal` says so."""
SILENCE_S = 300.0
SILENT = Problem(
    "W",
    "execd: no newline on standard input and no signal for 5 minutes, so nothing was collected: set `signal = "
    '"STDIN"` in [[inputs.execd]] of Telegraf; with a longer interval there, the first one is still to come',
    "",
)


class _Requests:
    """What standard input and signals ask for. A signal counts as a newline; SIGTERM ends the program.

    `silence_ends`: when a silence since the start is reported, in monotonic seconds.
    """

    def __init__(self, stdin: int, writer: StdoutWriter, silence_ends: float) -> None:
        self.arrived = threading.Event()
        self.newline = self.ended = self.stopped = False
        self.silence_ends = silence_ends
        self._stdin = stdin
        self._writer = writer

    def read(self) -> bool:
        """Read the available bytes; return False at end of file."""
        # Not through sys.stdin: a thread that holds its lock at exit aborts the interpreter.
        text = read_some(self._stdin)
        if b"\n" in text:
            self.newline = True
        if not text:
            self.ended = True
            self._writer.stop(EOF_TIMEOUT)
        self.arrived.set()
        return bool(text)

    def read_all(self) -> None:
        """Read until end of file."""
        while self.read():
            pass

    def on_signal(self, number: int, frame: object) -> None:
        """Count a signal as a newline. Sets a flag; for an event see wait_for."""
        self.newline = True

    def is_urgent(self) -> bool:
        """Return whether a signal ends the wait."""
        return self.stopped or self.newline

    def stop(self) -> None:
        """End the program. Sets flags: safe in signal handlers."""
        self.stopped = True
        self._writer.stop(SIGTERM_TIMEOUT)


def run(collectors: Sequence[Collector], log: ProblemLog, stdin: int, writer: StdoutWriter) -> None:
    """Run a cycle for every newline. At end of file the running cycle finishes; SIGTERM cancels it.

    Newlines that arrive during a cycle count as one. A batch is one write of whole lines. Raise MaasError if the last
    one is not read.
    """
    monotonic = collectors[0].clock.monotonic
    requests = _Requests(stdin, writer, monotonic() + SILENCE_S)
    on_sigterm(collectors, requests.stop)
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), requests.on_signal)
    has_reader = start_thread(requests.read_all)
    encode = find_encoder("influx")
    while not requests.stopped:
        if not has_reader:  # no thread can be started: newlines are read between the cycles
            requests.read()
        wait_for(requests.arrived, lambda: requests.silence_ends, requests.is_urgent, monotonic)
        requests.arrived.clear()
        if requests.newline and not requests.stopped:  # after SIGTERM a cycle would look like a failure
            requests.newline = False  # only where it was true: another may arrive at this very moment
            requests.silence_ends = math.inf
            _run_cycle(collectors, log, writer, encode)
        elif monotonic() >= requests.silence_ends:
            requests.silence_ends = math.inf
            log.report([SILENT])
        if requests.ended and not requests.newline:
            return


def _run_cycle(
    collectors: Sequence[Collector], log: ProblemLog, writer: StdoutWriter, encode: Callable[[List[Point]], str]
) -> None:
    try:
        batches = run_cycle(collectors)
    except ConfigError as error:
        log.report([Problem("E", str(error), CONFIGURATION)])
        return
    writer.write(encode([point for batch in batches for point in batch.points]).encode())
    answered = {CONFIGURATION, *(problem_key for batch in batches for problem_key in batch.answered)}
    log.report((problem for batch in batches for problem in batch.problems), answered)
