"""Days of execd at five minutes with random faults: right values, no leak, a short log."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Dict, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.config.ranges import HOUR
from maas_usage_check.emulator.simulated_usage import LAG
from maas_usage_check.errors import Result

from ..conftest import NOW, SK
from .conftest import Lengths
from .simulation import RandomFaults, Simulation, expected_hour, run_execd

RANGES = {"last_24h": 24, "last_7d": 168, "last_3h": 3}
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")


@pytest.mark.timeout(600)
def test_right_values_and_a_short_log(tmp_path: Path, lengths: Lengths) -> None:
    """Every value is the cloud's, nothing leaks, and a failure is logged at most once an hour."""
    simulation, cycles = Simulation(tmp_path), lengths.daemon_days * 24 * 12
    simulation.intercept = RandomFaults(simulation, range(6, lengths.daemon_days * 24 - 6, 7), [2], 0.02)
    first, end = (int(NOW + days * 86_400) // 3600 * HOUR for days in (-8, lengths.daemon_days + 1))
    hours = {at: expected_hour(simulation.emulator, at, end) for at in range(first, end - LAG, HOUR)}
    results: List[int] = []
    right = [0]
    samples: List[Dict[str, int]] = []

    def after(number: int, text: str) -> None:
        *usage, api = (parse_line(line) for line in text.splitlines())
        results.append(api["fields"]["result_code"])
        assert (api["fields"]["queries"], api["fields"]["failed_queries"]) == (3, 3 - len(usage))
        for line in usage:
            now = line["time"] // 1_000_000
            start = now - RANGES[line["tags"]["range"]] * HOUR
            sums = [
                tuple(map(sum, zip(*(hours[at] for at in range(-(-start // HOUR) * HOUR, until - LAG, HOUR)))))
                for until in (now, now + 30_000)  # an hour may be reported while the cycle runs
            ]
            assert tuple(line["fields"][field] for field in FIELDS) in sums
            right[0] += 1
        if number == cycles // 2:
            simulation.write_key("wrong")
        if number == cycles // 2 + 30:
            simulation.write_key(SK)
        if number % (cycles // 5) == cycles // 6:
            simulation.emulator.request_log.clear()  # the emulator's memory is not measured
            gc.collect()
            samples.append({"objects": len(gc.get_objects()), "files": len(os.listdir("/proc/self/fd"))})

    log_lines = run_execd(simulation, cycles, 300, after, ranges=list(RANGES), max_concurrency=1)
    assert simulation.emulator.lockouts == 0
    assert right[0] > cycles * 2
    assert {Result.OK, Result.PARTIAL, Result.KEY_REFUSED} <= set(results)
    assert samples[-1]["files"] <= samples[0]["files"] + 1
    assert samples[-1]["objects"] < samples[0]["objects"] + 3_000, samples
    changes = sum(1 for one, other in zip(results, results[1:]) if one != other)
    hours_with_failures = sum(1 for code in results if code) / 12
    assert len(log_lines) <= 2 * changes + hours_with_failures + 20
    recovered = [line[:3] for line in log_lines if "recovered" in line]
    assert recovered == ["I! "] * len(recovered)
    # The key is wrong for 2.5 hours, and a failure is logged at most once an hour.
    assert 1 <= sum("refused" in line and "recovered" not in line for line in log_lines) <= 5
