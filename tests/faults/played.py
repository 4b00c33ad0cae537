"""The scene of a fault without a network and without waiting: what hangs moves the fixed clock to the time-out."""

from __future__ import annotations

import io
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any, Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport, Pool
from maas_usage_check.collection import Runtime
from maas_usage_check.config import Instance
from maas_usage_check.emulator.emulator import Emulator

from ..fixed_clock import FixedClock
from ..program import AK, SK, Program
from .server import PAUSE, Act, Scene, Step, read_request


class PlayedSocket(io.RawIOBase):
    """The client's end of a connection: it answers when it is read."""

    def __init__(self, scene: Scene, clock: FixedClock) -> None:
        self._scene = scene
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
        asked = read_request(lambda: self._sent)
        assert asked
        self._steps = iter(self._scene.answer(asked))
        return io.BufferedReader(self)

    def recv(self, size: int, *flags: int) -> bytes:
        """Be closed for who looks whether the connection still lives."""
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


class PlayedTransport(DirectTransport):
    """The transport of the command line over played sockets."""

    def __init__(self, scene: Scene, clock: FixedClock, instance: Instance, pool: Optional[Pool] = None) -> None:
        super().__init__(instance, pool)
        self._scene = scene
        self._clock = clock

    def prepare(self, url: str, timeout: float) -> None:
        """Connect with the request."""

    def _connection(self, *args: Any) -> Any:
        connection: Any = super()._connection(*args)
        connection._create_connection = lambda *address: PlayedSocket(self._scene, self._clock)
        return connection


@pytest.fixture
def scene(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Scene:
    for module in ("direct_transport", "deadline", "transport"):
        time = SimpleNamespace(monotonic=clock.clock.monotonic)
        monkeypatch.setattr(f"maas_usage_check.cloud.{module}.time", time)
    return Scene(Emulator({AK: SK}, now=clock.now))


@pytest.fixture
def played(scene: Scene, clock: FixedClock, program: Program) -> Program:
    """Run the command line in this process, before the scene."""
    program.runtime = Runtime(clock.clock, partial(PlayedTransport, scene, clock))
    return program
