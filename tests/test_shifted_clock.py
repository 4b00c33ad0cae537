"""The program with a shifted clock is the program, at another time of the calendar."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator, List

import pytest
from line_protocol_parser import parse_line

from . import shifted_clock
from .conftest import Cloud, Program
from .shifted_clock import write_shift

DAY = 86_400


@pytest.fixture
def daemon(cloud: Cloud, program: Program) -> Iterator[subprocess.Popen[bytes]]:
    process = program.start("execd", "--config", program.for_cloud(cloud))
    yield process
    process.kill()
    process.communicate()


def test_clock_of_a_running_program_moves(cloud: Cloud, program: Program, daemon: subprocess.Popen[bytes]) -> None:
    assert daemon.stdin
    assert daemon.stdout
    path = program.command[-1]
    cloud.emulator.now = clock = shifted_clock.shifted_clock(path)
    for days in (None, 3, 3.5, -2):
        if days is not None:
            write_shift(path, days * DAY)
        before = clock()
        daemon.stdin.write(b"\n")
        api = parse_line(next(line.decode() for line in daemon.stdout if line.startswith(b"huawei_maas_api")))
        assert api["fields"]["up"] == 1
        assert before - 0.001 <= api["time"] / 1e9 <= clock()  # it has milliseconds


@pytest.mark.parametrize("arguments", [["--version"], ["collect", "--config", "/nonexistent"]])
def test_same_output_and_exit_code(program: Program, arguments: List[str]) -> None:
    shifted, plain = program.process(*arguments), program(*arguments)
    assert (shifted.returncode, shifted.stdout, shifted.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_shift_is_never_half_written(tmp_path: Path) -> None:
    path = str(tmp_path / "shift")
    shifts = (0.0, -1234567.875)
    write_shift(path, shifts[0])
    clock = shifted_clock.shifted_clock(path)

    def read() -> List[float]:
        """List the shifts by which the clock may be off."""
        before, now, after = time.time(), clock(), time.time()
        return [shift for shift in shifts if before - 0.001 <= now - shift <= after + 0.001]

    for shift in (*reversed(shifts), *shifts):
        write_shift(path, shift)
        assert read() == [shift]

    def write() -> None:
        for i in range(5000):
            write_shift(path, shifts[i % 2])

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert read()
    writer.join()
