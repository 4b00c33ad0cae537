"""Processes that are killed at any statement, and two at once, over one state: no hour wrong, no count twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from maas_usage_check.standin.emulator import Emulator
from maas_usage_check.standin.ledger import API_KEYS, Ledger

from .. import shifted_clock
from ..conftest import AK, SK, Cloud, Program
from ..shifted_clock import write_shift

HOUR = 3_600_000
AGENT = '''
"""Take increments as the Agent's check does: print them, and nothing when killed before."""
import json, sys
from maas_usage_check.access import provider
from maas_usage_check.config import load_file
from maas_usage_check.cycle import make_collectors, open_store
from maas_usage_check.cycle.collector import Collector
from maas_usage_check.history import INCREMENTS, Consumer
from maas_usage_check.metrics import CONSUMED
instances = load_file(sys.argv[1])
store = open_store(instances, print)
(made,) = make_collectors(instances, store)
collector = Collector(
    instances[0], made._provider, made._transport, made._gates, made._clock, consumer=Consumer("agent", INCREMENTS)
)
points = [point for point in collector.cycle().points if point.measurement == CONSUMED]
sys.stdout.write(json.dumps([point.fields["tokens"] for point in points]) + "\\n")
'''


@pytest.fixture
def shift(tmp_path: Path) -> str:
    path = str(tmp_path / "shift")
    write_shift(path, 0.0)
    return path


@pytest.fixture
def config(cloud: Cloud, program: Program, shift: str) -> str:
    cloud.emulator = Emulator({AK: SK}, Ledger(late=True), now=shifted_clock.shifted_clock(shift))
    program.command = [sys.executable, shifted_clock.__file__, shift]
    more = (
        f"hourly: true\nbackfill_days: 3\nranges: [last_1d]\nmax_requests_per_minute: 200\nstate_dir: {program.folder}"
    )
    return program.for_cloud(cloud, more)


def killed(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Kill a process after a while, wherever it is; return what it wrote."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate(timeout=20)[0]


def points(output: bytes) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in output.decode().splitlines()]


def hours(lines: List[Dict[str, Any]]) -> Dict[int, int]:
    found = [line for line in lines if line["measurement"] == "huawei_maas_hourly"]
    return {line["time"] // 1_000_000: line["fields"]["total_tokens"] for line in found}


def truth(cloud: Cloud, at: int) -> int:
    now = int(cloud.emulator.now() * 1000)
    hour = cloud.emulator.ledger.hour(2, "real_time", list(API_KEYS), at, now)
    return hour.prompt_tokens + hour.completion_tokens + hour.other_tokens


@pytest.mark.timeout(150)
def test_hours_are_right_and_counters_never_fall_however_often_a_run_is_killed(
    cloud: Cloud, program: Program, config: str, shift: str
) -> None:
    chance = random.Random(3)
    told: Dict[int, int] = {}
    counters = [0]
    for number in range(24):
        write_shift(shift, number * 1801.0)
        forms = ("json", "prometheus") if number % 2 else ("json",)  # two at once
        running = [program.start("collect", "--config", config, "--format", form) for form in forms]
        outputs = [killed(process, chance.uniform(0.1, 0.7)) for process in running]
        told.update(hours(points(outputs[0])))
    last = program("collect", "--config", config, "--format", "json")
    told.update(hours([json.loads(line) for line in last.stdout.splitlines()]))
    now = int(cloud.emulator.now() * 1000)
    for number in (24, 25):
        write_shift(shift, number * 1801.0)
        last = program("collect", "--config", config, "--format", "json")
        assert last.returncode == 0, last.stderr
        told.update(hours([json.loads(line) for line in last.stdout.splitlines()]))
        text = program("collect", "--config", config, "--format", "prometheus").stdout
        counters += [
            int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("huawei_maas_consumed_tokens")
        ]
    ended = range(min(told), (now - 4 * HOUR) // HOUR * HOUR, HOUR)
    assert len(ended) > 60
    assert {at: told.get(at) for at in ended} == {at: truth(cloud, at) for at in ended}
    assert counters == sorted(counters)
    assert counters[-1] > 0


@pytest.mark.timeout(150)
def test_an_agent_that_is_killed_loses_increments_of_that_cycle_at_most_and_submits_none_twice(
    cloud: Cloud, program: Program, config: str, shift: str, tmp_path: Path
) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(
        f"import sys, time\nsys.path.insert(0, {str(Path(shifted_clock.__file__).parents[1])!r})\n"
        f"from tests.shifted_clock import shifted_clock\ntime.time = shifted_clock({shift!r})\n{AGENT}"
    )
    program.command = [sys.executable]
    chance = random.Random(4)
    began = int(cloud.emulator.now() * 1000)
    submitted = kills = 0
    for number in range(24):
        write_shift(shift, number * 3601.0)
        process = program.start(str(agent), config)
        output = killed(process, chance.uniform(0.1, 0.25) if number % 2 else 30.0)
        submitted += sum(json.loads(output.decode() or "[]"))
        kills += process.returncode == -9
        assert process.returncode in (0, -9)
    known = sum(truth(cloud, at) for at in range(began // HOUR * HOUR, began + 24 * HOUR, HOUR))
    assert kills > 0
    assert known / 2 < submitted <= known
