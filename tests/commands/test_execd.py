"""`execd` as Telegraf runs it: newlines in, batches out, until end of file or SIGTERM."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import termios
from typing import Any, Iterator, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.commands.stdout_writer import EOF_TIMEOUT, SIGTERM_TIMEOUT, StdoutWriter

from ..conftest import Cloud, Program, wait_for


def test_timeout_of_the_last_batch(cloud: Cloud, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout after SIGTERM is shorter than after end of file."""
    timeouts: List[float] = []
    monkeypatch.setattr(StdoutWriter, "stop", lambda writer, timeout: timeouts.append(timeout))
    command = ("execd", "--config", program.cloud_config(cloud))
    assert program(*command, stdin="\n").returncode == 0
    assert timeouts == [EOF_TIMEOUT]
    cloud.responder = lambda request: os.kill(os.getpid(), signal.SIGTERM)
    assert program(*command, stdin="\n").returncode == 0
    assert SIGTERM_TIMEOUT in timeouts


class Daemon:
    """`execd` as a process."""

    def __init__(self, process: subprocess.Popen[bytes], cloud: Cloud) -> None:
        self.process = process
        self.cloud = cloud
        assert process.stdin
        self.stdin = process.stdin

    def start_blocked_cycle(self) -> Any:
        """Start a cycle that blocks until the returned event is set."""
        release = self.cloud.block()
        self.write_newline()
        wait_for(lambda: self.cloud.requests, "the cycle")
        return release

    def write_newline(self) -> None:
        """Write a newline and wait until the daemon has read it."""
        self.stdin.write(b"\n")
        unread = array.array("i", [1])

        def is_read() -> bool:
            fcntl.ioctl(self.stdin, termios.FIONREAD, unread)
            return not unread[0]

        wait_for(is_read, "the daemon to read")

    def stop(self, signal_number: int = 0) -> Tuple[List[str], str]:
        """Send a signal or close standard input; return the measurements and standard error until exit code 0."""
        if signal_number:
            self.process.send_signal(signal_number)
        output, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return [parse_line(line)["measurement"] for line in output.decode().splitlines()], errors.decode()


@pytest.fixture
def daemon(cloud: Cloud, program: Program) -> Iterator[Daemon]:
    process = program.start("execd", "--config", program.cloud_config(cloud, "ranges: [last_7d]"))
    yield Daemon(process, cloud)
    process.kill()
    process.communicate()


BATCH = ["huawei_maas_usage", "huawei_maas_api"]


def test_newlines_during_a_cycle(daemon: Daemon) -> None:
    """Newlines that arrive during a cycle count as one; end of file lets both cycles finish."""
    release = daemon.start_blocked_cycle()
    for _ in range(3):
        daemon.write_newline()
    daemon.stdin.close()
    daemon.process.stdin = None
    release.set()
    assert daemon.stop() == (BATCH * 2, "")


def test_sigterm_during_a_cycle(daemon: Daemon) -> None:
    """SIGTERM cancels the cycle and drops queued newlines."""
    daemon.start_blocked_cycle()
    daemon.write_newline()
    measurements, errors = daemon.stop(signal.SIGTERM)
    assert measurements == ["huawei_maas_api"]
    assert "ended by a signal" in errors
    assert "raise deadline" not in errors


def test_sigterm_between_cycles(cloud: Cloud, daemon: Daemon) -> None:
    daemon.write_newline()
    assert daemon.process.stdout
    next(line for line in daemon.process.stdout if line.startswith(b"huawei_maas_api"))
    assert daemon.stop(signal.SIGTERM) == ([], "")


def test_closed_stdin(cloud: Cloud, program: Program) -> None:
    """A standard input that was closed before the start is exit code 0 and no output."""
    program.command = ["sh", "-c", 'exec "$@" <&-', "sh", *program.command]
    done = program.process("execd", "--config", program.cloud_config(cloud))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
