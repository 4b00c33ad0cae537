"""The program with a shifted clock is the program, at another time of the calendar."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from line_protocol_parser import parse_line

from . import shifted_clock
from .conftest import Cloud, Program
from .shifted_clock import write_shift

DAY = 86_400


@pytest.fixture
def shift(tmp_path: Path, program: Program) -> str:
    """Have the program read its clock's shift from a file, a day to begin with."""
    path = str(tmp_path / "shift")
    write_shift(path, DAY)
    program.command = [sys.executable, shifted_clock.__file__, path]
    return path


@pytest.fixture
def shifted_cloud(cloud: Cloud, shift: str) -> Cloud:
    """Set the cloud's clock by the same file."""
    cloud.emulator.now = shifted_clock.shifted_clock(shift)
    return cloud


def points(text: str) -> List[Dict[str, Any]]:
    return [parse_line(line) for line in text.splitlines()]


def off(point: Dict[str, Any]) -> float:
    """Say by how many seconds a point's time is ahead of the true one."""
    return float(point["time"]) / 1e9 - time.time()


def test_a_collect_a_day_ahead_works_where_the_cloud_is_a_day_ahead_too(shifted_cloud: Cloud, program: Program) -> None:
    done = program("collect", "--config", program.for_cloud(shifted_cloud))
    assert (done.returncode, done.stderr) == (0, "")
    *usage, api = points(done.stdout)
    assert len(usage) == 3
    assert api["fields"]["up"] == 1
    assert off(api) == pytest.approx(DAY, abs=60)
    assert api["fields"]["duration_seconds"] < 60


def test_a_collect_a_day_ahead_of_the_cloud_is_refused_and_the_clock_is_named(
    cloud: Cloud, shift: str, program: Program
) -> None:
    done = program("collect", "--config", program.for_cloud(cloud))
    assert done.returncode == 1
    assert done.stderr.startswith("E! ")
    assert "this machine's clock is 1440 minutes ahead of the cloud's" in done.stderr.splitlines()[0]
    assert [point["fields"]["up"] for point in points(done.stdout)] == [0]
    assert cloud.emulator.times_locked == 0


@pytest.fixture
def daemon(shifted_cloud: Cloud, program: Program) -> Iterator[subprocess.Popen[bytes]]:
    process = program.start("execd", "--config", program.for_cloud(shifted_cloud))
    yield process
    process.kill()
    process.communicate()


def test_the_clock_of_a_program_that_runs_moves_when_the_file_is_written_again(
    daemon: subprocess.Popen[bytes], shift: str
) -> None:
    assert daemon.stdin
    assert daemon.stdout
    for days in (1, 3, 3.5, -2):
        write_shift(shift, days * DAY)
        daemon.stdin.write(b"\n")
        api = parse_line(next(line.decode() for line in daemon.stdout if line.startswith(b"huawei_maas_api")))
        assert api["fields"]["up"] == 1
        assert off(api) == pytest.approx(days * DAY, abs=60)


@pytest.mark.usefixtures("shift")
@pytest.mark.parametrize("arguments", [["--version"], [], ["nonsense"], ["collect", "--config", "/nonexistent"]])
def test_what_it_says_and_its_exit_code_are_the_programs_own(
    arguments: List[str], program: Program, tmp_path: Path
) -> None:
    shifted, plain = program(*arguments), Program(tmp_path)(*arguments)
    assert (shifted.returncode, shifted.stdout, shifted.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_clock_is_read_from_the_file_at_each_call_and_never_half_written(tmp_path: Path) -> None:
    path = str(tmp_path / "shift")
    write_shift(path, 0.0)
    clock = shifted_clock.shifted_clock(path)
    assert clock() == pytest.approx(time.time(), abs=5)
    write_shift(path, -12.5 * DAY)
    assert clock() - time.time() == pytest.approx(-12.5 * DAY, abs=5)
    code = (
        "from tests.shifted_clock import write_shift\n"
        f"for i in range(20000): write_shift({path!r}, (0.0, -1234567.875)[i % 2])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1]) as writer:
        while writer.poll() is None:
            shift = clock() - time.time()
            assert min(abs(shift - known) for known in (0.0, -1234567.875, -12.5 * DAY)) < 5
    assert writer.returncode == 0
