from __future__ import annotations

import os
import threading
from functools import partial
from typing import Tuple

import pytest

from maas_usage_check.commands.stdout_writer import Output, read_some, write_all
from maas_usage_check.errors import MaasError


def test_batches_are_written_whole_and_in_order_after_the_end_too() -> None:
    written = []
    output = Output(written.append)
    output.put(b"one")
    output.end(20)
    output.put(b"last")
    output.put(b"and one more")
    assert written == [b"one", b"last", b"and one more"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("graces", [(600.0, 0.01), (0.01, 600.0)])
def test_of_two_ends_the_sooner_one_counts(graces: Tuple[float, float]) -> None:
    release = threading.Event()
    output = Output(lambda batch: release.wait(30) and None)  # type: ignore[arg-type,return-value]
    for grace in graces:
        output.end(grace)
    with pytest.raises(MaasError, match="nobody reads standard output"):
        output.put(b"x")
    release.set()


def test_after_an_end_in_peace_a_slow_reader_gets_all_of_the_batch() -> None:
    reader, writer = os.pipe()
    output = Output(partial(write_all, writer))
    output.end(20)
    late = threading.Thread(target=lambda: os.read(reader, 1_000_000))
    late.start()
    output.put(b"x" * 100_000)  # more than a pipe holds
    late.join(20)
    os.close(reader)
    os.close(writer)


def test_streams_that_do_not_block_are_written_and_read_whole() -> None:
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    data = os.urandom(1_000_000)  # far more than a pipe holds

    def write() -> None:
        write_all(writer, data)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    assert b"".join(iter(partial(read_some, reader), b"")) == data
    thread.join(20)
