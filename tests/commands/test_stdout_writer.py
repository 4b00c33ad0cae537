from __future__ import annotations

import os
import threading
from functools import partial
from typing import Tuple

import pytest

from maas_usage_check.commands.stdout_writer import StdoutWriter, read_some, write_all
from maas_usage_check.errors import MaasError


def test_order_of_batches() -> None:
    """Batches are written whole and in order, also after `stop`."""
    written = []
    writer = StdoutWriter(written.append)
    writer.write(b"one")
    writer.stop(20)
    writer.write(b"last")
    writer.write(b"and one more")
    assert written == [b"one", b"last", b"and one more"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("timeouts", [(600.0, 0.01), (0.01, 600.0)])
def test_shortest_timeout_holds(timeouts: Tuple[float, float]) -> None:
    release = threading.Event()
    writer = StdoutWriter(lambda batch: release.wait(30) and None)  # type: ignore[arg-type,return-value]
    for timeout in timeouts:
        writer.stop(timeout)
    with pytest.raises(MaasError, match="standard output is not being read"):
        writer.write(b"x")
    release.set()


def test_slow_reader() -> None:
    """A slow reader gets all of the last batch within the timeout."""
    read_end, write_end = os.pipe()
    writer = StdoutWriter(partial(write_all, write_end))
    writer.stop(20)
    late = threading.Thread(target=lambda: os.read(read_end, 1_000_000))
    late.start()
    writer.write(b"x" * 100_000)  # more than the pipe's buffer
    late.join(20)
    os.close(read_end)
    os.close(write_end)


def test_non_blocking_streams() -> None:
    """Non-blocking streams are written and read to the end."""
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    data = os.urandom(1_000_000)  # far more than the pipe's buffer

    def write() -> None:
        write_all(write_end, data)
        os.close(write_end)

    thread = threading.Thread(target=write)
    thread.start()
    assert b"".join(iter(partial(read_some, read_end), b"")) == data
    thread.join(20)
