"""A faulty cloud without a network: a hang moves the fixed clock by the time-out instead of waiting."""

from __future__ import annotations

import http.client
import io
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any, Iterator, Optional
from urllib.parse import SplitResult

import pytest

from maas_usage_check.cloud import DirectTransport, Pool
from maas_usage_check.commands.runner import Runtime
from maas_usage_check.config import Instance
from maas_usage_check.emulator.emulator import Emulator

from ..fixed_clock import FixedClock
from ..program import AK, SK, Program
from .faulty_cloud import PAUSE, Act, FaultyCloud, Step, read_request


class FakeSocket(io.RawIOBase):
    """The client's end of a connection; the faulty cloud answers when it is read."""

    def __init__(self, faulty_cloud: FaultyCloud, clock: FixedClock) -> None:
        self._cloud = faulty_cloud
        self._clock = clock
        self._sent = b""
        self._steps: Iterator[Step] = iter(())
        self._received = b""
        self._timeout = 0.0

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def setsockopt(self, *option: Any) -> None:
        """Accept every option."""

    def sendall(self, data: bytes) -> None:
        self._sent += data

    def makefile(self, *mode: Any) -> io.BufferedReader:
        request = read_request(lambda: self._sent)
        assert request
        self._steps = iter(self._cloud.answer(request))
        return io.BufferedReader(self)

    def close(self) -> None:
        """Do nothing: the file of a socket can still be read."""

    def recv(self, size: int, *flags: int) -> bytes:
        """Return nothing, as a closed connection does: it is not reused."""
        return b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._received:
            step = next(self._steps, None)
            if step is None:
                return 0
            if isinstance(step, bytes):
                self._received = step
            elif step == Act.PAUSE:
                self._clock.at += PAUSE
            elif step == Act.HANG:
                self._clock.at += self._timeout
                raise socket.timeout("timed out")
            else:
                raise ConnectionResetError(104, "Connection reset by peer")
        count = min(len(buffer), len(self._received))
        buffer[:count], self._received = self._received[:count], self._received[count:]
        return count


class FakeSocketTransport(DirectTransport):
    """The command line's transport over fake sockets."""

    def __init__(
        self, faulty_cloud: FaultyCloud, clock: FixedClock, instance: Instance, pool: Optional[Pool] = None
    ) -> None:
        super().__init__(instance, pool)
        self._cloud = faulty_cloud
        self._clock = clock

    def preconnect(self, url: str, timeout: float, count: int) -> None:
        """Do nothing: the connection opens with the request."""

    def _connect(self, url: SplitResult, deadline: float) -> Any:
        connection: Any = http.client.HTTPConnection(url.netloc)
        connection.sock = FakeSocket(self._cloud, self._clock)
        return connection


@pytest.fixture
def faulty_cloud(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> FaultyCloud:
    for module in ("direct_transport", "transport"):
        time = SimpleNamespace(monotonic=clock.clock.monotonic)
        monkeypatch.setattr(f"maas_usage_check.cloud.{module}.time", time)
    return FaultyCloud(Emulator({AK: SK}, now=clock.now))


@pytest.fixture
def local_program(faulty_cloud: FaultyCloud, clock: FixedClock, program: Program) -> Program:
    """Run the command line in this process against the faulty cloud."""
    program.runtime = Runtime(clock.clock, partial(FakeSocketTransport, faulty_cloud, clock))
    return program
