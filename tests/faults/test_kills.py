"""Processes killed at a write or at a request, and two at once, over one state: no hour is wrong or counted twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from maas_usage_check.emulator.emulator import Emulator
from maas_usage_check.emulator.simulated_usage import SimulatedUsage

from ..conftest import AK, SK, Cloud, Program
from ..fixed_clock import MONDAY
from ..shifted_clock import shifted_clock, write_shift
from .conftest import Lengths
from .preload import KILL_AT_WRITE, compile_library
from .simulation import expected_hour

HOUR = 3_600_000


@pytest.mark.timeout(600)
def test_every_write(tmp_path: Path, need: Callable[[str], str], lengths: Lengths) -> None:
    """A kill at any write to the state loses nothing; see kill_points.py for what must hold."""
    library = compile_library(tmp_path, need("cc"), KILL_AT_WRITE)
    subprocess.run(
        [sys.executable, "-m", "tests.faults.kill_points", tmp_path, str(lengths.kill_step)],
        env={**os.environ, "LD_PRELOAD": library},
        cwd=Path(__file__).parents[2],
        check=True,
    )


def read_hours(output: bytes) -> Dict[int, int]:
    points = map(json.loads, output.splitlines())
    hourly = [point for point in points if point["measurement"] == "huawei_maas_hourly"]
    return {point["time"] // 1_000_000: point["fields"]["total_tokens"] for point in hourly}


@pytest.mark.timeout(150)
def test_requests(cloud: Cloud, program: Program) -> None:
    """Each run is killed at a later request than the one before, and every second run has another beside it."""
    shift = program.command[-1]
    cloud.emulator = Emulator({AK: SK}, SimulatedUsage(late=True), now=shifted_clock(shift))
    config = program.cloud_config(
        cloud,
        f"hourly: true\nbackfill_days: 3\nranges: [last_1d]\nmax_requests_per_minute: 200\nstate_dir: {program.folder}",
    )
    hours: Dict[int, int] = {}
    counters = [0]

    def start(run: int, output_format: str) -> subprocess.Popen[bytes]:
        write_shift(shift, MONDAY - time.time() + run * 1801.0)
        return program.start("collect", "--config", config, "--format", output_format)

    for run in range(12):
        process, before = start(run, "json"), len(cloud.requests)
        other = start(run, "prometheus") if run % 2 else None

        def kill(request: Any, process: Any = process, last: int = before + run) -> None:
            if len(cloud.requests) > last:
                process.kill()

        cloud.responder = kill
        hours.update(read_hours(process.communicate(timeout=50)[0]))
        if other:
            assert other.wait(50) in (0, 1)
    cloud.responder = None
    for run in (12, 13, 14):
        process = start(run, "json")
        output, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors
        hours.update(read_hours(output))
        text = start(run, "prometheus").communicate(timeout=50)[0].decode()
        counters += [int(number) for number in re.findall("^huawei_maas_consumed_tokens.* (.+)", text, re.MULTILINE)]
    now = int(cloud.emulator.now() * 1000)
    ended = range(min(hours), (now - 4 * HOUR) // HOUR * HOUR, HOUR)
    assert len(ended) > 60
    assert {at: hours.get(at) for at in ended} == {at: expected_hour(cloud.emulator, at, now)[0] for at in ended}
    assert counters == sorted(counters)
    assert counters[-1] > 0
