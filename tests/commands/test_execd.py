"""The daemon as Telegraf runs it: newlines in, batches out, until end of file or SIGTERM."""

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

from maas_usage_check.commands.stdout_writer import AT_ONCE, IN_PEACE, Output

from ..conftest import Cloud, Program, wait_for


def test_time_for_the_last_batch(cloud: Cloud, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGTERM it is shorter than after end of file."""
    graces: List[float] = []
    monkeypatch.setattr(Output, "end", lambda output, grace: graces.append(grace))
    command = ("execd", "--config", program.cloud_config(cloud))
    assert program(*command, stdin="\n").returncode == 0
    assert graces == [IN_PEACE]
    cloud.responder = lambda request: os.kill(os.getpid(), signal.SIGTERM)
    assert program(*command, stdin="\n").returncode == 0
    assert AT_ONCE in graces


class Daemon:
    """A process of its own; `hold` keeps its first cycle from ending."""

    def __init__(self, process: subprocess.Popen[bytes], cloud: Cloud) -> None:
        self.process = process
        self.cloud = cloud
        assert process.stdin
        self.stdin = process.stdin

    def hold(self) -> Any:
        """Begin a cycle that ends when the event is set that is returned."""
        release = self.cloud.block()
        self.newline()
        wait_for(lambda: self.cloud.requests, "the cycle")
        return release

    def newline(self) -> None:
        """Write one, and come back when the daemon has read it."""
        self.stdin.write(b"\n")
        left = array.array("i", [1])

        def read() -> bool:
            fcntl.ioctl(self.stdin, termios.FIONREAD, left)
            return not left[0]

        wait_for(read, "the daemon to read")

    def end(self, number: int = 0) -> Tuple[List[str], str]:
        """Send a signal, or close standard input; return the measurements and what it said until it ended with 0."""
        if number:
            self.process.send_signal(number)
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


def test_newlines_that_arrive_during_a_cycle_count_as_one(daemon: Daemon) -> None:
    """End of file lets them and the running cycle finish."""
    release = daemon.hold()
    for _ in range(3):
        daemon.newline()
    daemon.stdin.close()
    daemon.process.stdin = None
    release.set()
    assert daemon.end() == (BATCH * 2, "")


def test_sigterm_cuts_the_cycle_and_drops_waiting_newlines(daemon: Daemon) -> None:
    daemon.hold()
    daemon.newline()
    measurements, said = daemon.end(signal.SIGTERM)
    assert measurements == ["huawei_maas_api"]
    assert "ended by a signal" in said
    assert "raise deadline" not in said


def test_sigterm_while_nothing_runs_ends_at_once(cloud: Cloud, daemon: Daemon) -> None:
    daemon.newline()
    assert daemon.process.stdout
    next(line for line in daemon.process.stdout if line.startswith(b"huawei_maas_api"))
    assert daemon.end(signal.SIGTERM) == ([], "")


def test_a_standard_input_that_was_closed_at_the_start_ends_quietly(cloud: Cloud, program: Program) -> None:
    program.command = ["sh", "-c", 'exec "$@" <&-', "sh", *program.command]
    done = program.process("execd", "--config", program.cloud_config(cloud))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
