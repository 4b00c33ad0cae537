"""Days of execd at five minutes, with faults strewn in: right values, nothing left over, a short log."""

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
from .world import Weather, World, run_execd, truth

RANGES = {"last_24h": 24, "last_7d": 168, "last_3h": 3}
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")


@pytest.mark.timeout(600)
def test_right_values_and_a_short_log(tmp_path: Path, lengths: Lengths) -> None:
    world, cycles = World(tmp_path), lengths.run_days * 24 * 12
    world.instead = Weather(world, range(6, lengths.run_days * 24 - 6, 7), [2], 0.02)
    first, end = (int(NOW + days * 86_400) // 3600 * HOUR for days in (-8, lengths.run_days + 1))
    hours = {at: truth(world.emulator, at, end) for at in range(first, end - LAG, HOUR)}
    results: List[int] = []
    right = [0]
    levels: List[Dict[str, int]] = []

    def after(number: int, text: str) -> None:
        *usage, api = (parse_line(line) for line in text.splitlines())
        results.append(api["fields"]["result_code"])
        assert (api["fields"]["queries"], api["fields"]["failed_queries"]) == (3, 3 - len(usage))
        for line in usage:
            now = line["time"] // 1_000_000
            start = now - RANGES[line["tags"]["range"]] * HOUR
            sums = [
                tuple(map(sum, zip(*(hours[at] for at in range(-(-start // HOUR) * HOUR, until - LAG, HOUR)))))
                for until in (now, now + 30_000)  # an hour may come in while the cycle runs
            ]
            assert tuple(line["fields"][field] for field in FIELDS) in sums
            right[0] += 1
        if number == cycles // 2:
            world.put_key("wrong")
        if number == cycles // 2 + 30:
            world.put_key(SK)
        if number % (cycles // 5) == cycles // 6:
            world.emulator.request_log.clear()  # the cloud's own memory is not what is measured
            gc.collect()
            levels.append({"objects": len(gc.get_objects()), "files": len(os.listdir("/proc/self/fd"))})

    said = run_execd(world, cycles, 300, after, ranges=list(RANGES), max_concurrency=1)
    assert world.emulator.times_locked == 0
    assert right[0] > cycles * 2
    assert {Result.OK, Result.PARTIAL, Result.KEY_REFUSED} <= set(results)
    assert levels[-1]["files"] <= levels[0]["files"] + 1
    assert levels[-1]["objects"] < levels[0]["objects"] + 3_000, levels
    changes = sum(1 for one, other in zip(results, results[1:]) if one != other)
    bad_hours = sum(1 for code in results if code) / 12
    assert len(said) <= 2 * changes + bad_hours + 20
    recovered = [line[:3] for line in said if "recovered" in line]
    assert recovered == ["I! "] * len(recovered)
    # Between two recoveries of one trouble it is said at most once an hour.
    assert 1 <= sum("refused" in line and "recovered" not in line for line in said) <= 5
