"""The daemon that nobody asks for a cycle, or that a signal asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Callable, Iterator, List

import pytest

from maas_usage_check.cli import main
from maas_usage_check.clock import Clock
from maas_usage_check.commands.execd import SIGNALS
from maas_usage_check.commands.runner import Runtime

from ..conftest import Cloud, FixedClock, Program, wait_for

API = b"huawei_maas_api,"


@pytest.fixture
def daemon(cloud: Cloud, program: Program) -> Iterator[subprocess.Popen[bytes]]:
    process = program.start("execd", "--config", program.cloud_config(cloud, "ranges: [last_7d]"))
    yield process
    process.kill()
    process.communicate()


def read_batch(process: subprocess.Popen[bytes]) -> None:
    """Read a batch up to its last line."""
    assert process.stdout
    next(line for line in process.stdout if line.startswith(API))


def test_signals(daemon: subprocess.Popen[bytes]) -> None:
    """Each is a newline; SIGTERM ends the daemon."""
    assert daemon.stdin
    daemon.stdin.write(b"\n")
    read_batch(daemon)
    for name in SIGNALS:
        daemon.send_signal(getattr(signal, name))
        read_batch(daemon)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.communicate(timeout=20) == (b"", b"")
    assert daemon.returncode == 0


def test_signals_during_a_cycle(cloud: Cloud, daemon: subprocess.Popen[bytes]) -> None:
    """They count as one newline, and end of file lets its cycle finish."""
    release = cloud.block()
    assert daemon.stdin
    daemon.stdin.write(b"\n")
    wait_for(lambda: cloud.requests, "the cycle")
    for name in SIGNALS * 3:
        daemon.send_signal(getattr(signal, name))
    release.set()
    output, errors = daemon.communicate(timeout=20)
    assert (daemon.returncode, errors) == (0, b"")
    assert output.count(API) == 2


class Silence:
    """A daemon with a clock that a test sets, while another thread plays Telegraf."""

    def __init__(self, cloud: Cloud, clock: FixedClock, program: Program) -> None:
        self.at = 0.0
        self.lines: List[str] = []
        self._polls = 0
        self._config, self._environ = program.cloud_config(cloud), program.environ
        self._runtime = Runtime(Clock(clock.now, self._monotonic), program.runtime.connect)
        self._stdin, self._write_end = os.pipe()
        self._read_end, self._stdout = os.pipe()

    def _monotonic(self) -> float:
        self._polls += 1
        return self.at

    def set_clock(self, at: float) -> None:
        """Set the clock while the daemon waits; return when it has read it, and has decided."""
        wait_for(lambda: getattr(signal.getsignal(signal.SIGUSR1), "__self__", None), "the daemon to wait")
        self.at, before = at, self._polls
        wait_for(lambda: self._polls >= before + 3, "the daemon to read the clock")

    def write_newline(self) -> None:
        """Ask for a cycle; read its batch."""
        os.write(self._write_end, b"\n")
        output = b""
        while API not in output or not output.endswith(b"\n"):
            output += os.read(self._read_end, 65536)

    def close(self) -> None:
        os.close(self._write_end)

    def write(self, text: str) -> None:
        """Receive standard error."""
        self.lines += text.split("\n") if text.strip() else []

    def flush(self) -> None:
        pass

    def run(self, telegraf: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        """Run the daemon until `telegraf` closes standard input."""
        numbers = [getattr(signal, name) for name in ("SIGTERM", *SIGNALS)]
        handlers = [(number, signal.getsignal(number)) for number in numbers]
        with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool, ExitStack() as files:
            for name, value in self._environ.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", files.enter_context(os.fdopen(self._stdin)))
            patch.setattr(sys, "stdout", files.enter_context(os.fdopen(self._stdout, "w")))
            patch.setattr(sys, "stderr", self)
            done = pool.submit(telegraf)
            assert main(["execd", "--config", self._config], self._runtime) == 0
            done.result()
        for number, handler in handlers:
            signal.signal(number, handler)


@pytest.fixture
def silence(cloud: Cloud, clock: FixedClock, program: Program) -> Silence:
    return Silence(cloud, clock, program)


def test_silence(silence: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 minutes without a newline are one line, which names the remedy; later silence is none."""

    def telegraf() -> None:
        try:
            silence.set_clock(299.999)
            assert silence.lines == []
            silence.set_clock(300.0)
            silence.set_clock(300.0)
            assert len(silence.lines) == 1
            silence.set_clock(9000.0)
            silence.write_newline()
            silence.set_clock(9500.0)
        finally:
            silence.close()

    silence.run(telegraf, monkeypatch)
    (line,) = silence.lines
    assert line.startswith("W! execd: no newline on standard input and no signal for 5 minutes, ")
    assert 'set `signal = "STDIN"`' in line


def test_newline_in_time(silence: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a newline no silence is reported."""

    def telegraf() -> None:
        try:
            silence.set_clock(299.0)
            silence.write_newline()
            silence.set_clock(320.0)
            silence.set_clock(9000.0)
        finally:
            silence.close()

    silence.run(telegraf, monkeypatch)
    assert silence.lines == []
