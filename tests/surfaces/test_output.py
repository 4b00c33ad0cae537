from __future__ import annotations

import os
import threading
from functools import partial

import pytest

from maas_usage_check.errors import MaasError
from maas_usage_check.surfaces.output import Output, read_some, write_all


def test_batches_are_written_whole_and_in_order() -> None:
    written = []
    output = Output(written.append)
    for batch in (b"one", b"two"):
        output.put(batch)
    assert written == [b"one", b"two"]


def test_what_goes_wrong_while_it_is_written_is_raised() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        Output(partial(write_all, writer)).put(b"x")


def test_a_batch_that_nobody_reads_is_given_up_when_the_end_comes() -> None:
    release, writing = threading.Event(), threading.Event()

    def blocked(batch: bytes) -> None:
        writing.set()
        release.wait(30)

    output = Output(blocked)
    threading.Thread(target=lambda: writing.wait(20) and output.end()).start()
    with pytest.raises(MaasError, match="nobody reads standard output"):
        output.put(b"x")
    release.set()


def test_after_the_end_a_batch_that_is_read_is_written_all_the_same() -> None:
    written = []
    output = Output(written.append)
    output.end()
    output.put(b"last")
    output.put(b"and one more")
    assert written == [b"last", b"and one more"]


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
    read = b""
    while True:
        more = read_some(reader)
        if not more:
            break
        read += more
    thread.join(20)
    assert read == data
