"""Days of execd at five minutes, with faults strewn in: right values, nothing left over, a short log."""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud import Request, Response
from maas_usage_check.config.ranges import HOUR
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.standin.emulator import reply
from maas_usage_check.standin.ledger import API_KEYS, LAG

from ..conftest import NOW, SK
from .world import World, run_execd

PER_DAY = 24 * 12
RANGES = {"last_24h": 24, "last_7d": 168, "last_3h": 3}


class Weather:
    """Strew faults: single ones at random, and spells of hours in which nothing but one of them comes."""

    def __init__(self, world: World, days: int) -> None:
        self.world = world
        self.random = random.Random(1)
        hours = self.random.sample(range(6, days * 24 - 6, 7), days * 12 // 7)
        self.spells = {hour * 3600.0: self.random.choice(self.kinds()) for hour in hours}

    def kinds(self) -> List[Any]:
        def answer(status: int, body: Any) -> Any:
            made = reply(status, body)
            return lambda: Response(made.status, made.headers, made.body)

        def broken(result: Result) -> Any:
            def fail() -> Response:
                raise QueryError(result, "the network is away")

            return fail

        return [
            answer(503, {}),
            answer(429, {"error_code": "APIGW.0308", "error_msg": "throttling threshold"}),
            answer(403, {"error_msg": "policy doesn't allow"}),
            answer(200, {"total_token": 7}),
            answer(200, []),
            answer(400, {"error_msg": "no"}),
            broken(Result.NETWORK),
            broken(Result.TIMED_OUT),
        ]

    def __call__(self, request: Request) -> Optional[Response]:
        for begin, fault in self.spells.items():
            if begin <= self.world.seconds < begin + 2 * 3600:
                return fault()  # type: ignore[no-any-return]
        if self.random.random() < 0.02:
            return self.random.choice(self.kinds())()  # type: ignore[no-any-return]
        return None


@pytest.mark.timeout(600)
def test_right_values_and_a_short_log(tmp_path: Path, run_days: int) -> None:
    world, cycles = World(tmp_path), run_days * PER_DAY
    world.instead = Weather(world, run_days)
    ledger = world.emulator.ledger
    first, end = (int(NOW + days * 86_400) // 3600 * HOUR for days in (-8, run_days + 1))
    hours = {at: _add(ledger, at) for at in range(first, end, HOUR)}
    results: List[int] = []
    right = [0]
    levels: List[Dict[str, int]] = []

    def after(number: int, text: str) -> None:
        lines = [parse_line(line) for line in text.splitlines()]
        api = lines[-1]
        results.append(api["fields"]["result_code"])
        assert api["fields"]["queries"] == 3
        assert api["fields"]["failed_queries"] == 3 - len(lines[:-1])
        for line in lines[:-1]:
            now = line["time"] // 1_000_000
            start = now - RANGES[line["tags"]["range"]] * HOUR
            for field in ("requests", "errors", "prompt_tokens", "completion_tokens"):
                sums = [
                    sum(getattr(hours[at], field) for at in range(-(-start // HOUR) * HOUR, end - LAG, HOUR))
                    for end in (now, now + 30_000)  # an hour may come in while the cycle runs
                ]
                assert line["fields"][field] in sums
            right[0] += 1
        if number == cycles // 2:
            world.put_key("wrong")
        if number == cycles // 2 + 30:
            world.put_key(SK)
        if number % (cycles // 5) == cycles // 6:
            world.emulator.requests.clear()  # the cloud's own memory is not what is measured
            gc.collect()
            levels.append({"objects": len(gc.get_objects()), "files": len(os.listdir("/proc/self/fd"))})

    said = run_execd(world, cycles, 300, after, ranges=list(RANGES), max_concurrency=1)
    assert world.emulator.times_locked == 0
    assert right[0] > cycles * 2
    assert {Result.OK, Result.PARTIAL, Result.KEY_REFUSED, Result.BACKING_OFF} <= set(results)
    assert levels[-1]["files"] <= levels[0]["files"] + 1
    assert levels[-1]["objects"] < levels[0]["objects"] + 3_000, levels
    changes = sum(1 for one, other in zip(results, results[1:]) if one != other)
    bad_hours = sum(1 for code in results if code) / 12
    assert len(said) <= 2 * changes + bad_hours + 20
    assert [line[:3] for line in said if "recovered" in line].count("I! ") == sum("recovered" in line for line in said)
    _check_hourly(said)


def _check_hourly(said: List[str]) -> None:
    """Between two recoveries of one trouble it is said at most once an hour: the spells last two."""
    refused = [line for line in said if "refused" in line and "recovered" not in line]
    assert 1 <= len(refused) <= 5


def _add(ledger: Any, at: int) -> Any:
    """Add up the labels of one hour, apart from the code that is tested."""
    parts = list(ledger.hours(2, "real_time", list(API_KEYS), at, at + HOUR))
    totals = {name: sum(getattr(part, name) for part in parts) for name in
              ("requests", "errors", "prompt_tokens", "completion_tokens", "other_tokens")}  # fmt: skip
    return type(parts[0])(start=at, **totals)
