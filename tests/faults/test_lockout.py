"""A monitor is never what locks a key: hours of a wrong secret (a day in tests/soak), on every surface."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud import Request, Response
from maas_usage_check.collection import run_cycle
from maas_usage_check.emulator.emulator import Emulator, Reply
from maas_usage_check.errors import Result

from ..conftest import SK, Cloud, FixedClock, Program
from ..shifted_clock import write_shift
from .conftest import Lengths
from .server import Server
from .world import URL, World, run_execd

WAITS = (5, 10, 20, 40)
"""Minutes after the first refusals; then it is tried every hour."""


def most_tries(minutes: int) -> int:
    """Count the tries of a wrong key that is asked for every minute."""
    first = sum(sum(WAITS[:i]) < minutes for i in range(len(WAITS) + 1))
    return first + max(0, minutes - 1 - sum(WAITS)) // 60


def tries(emulator: Emulator) -> int:
    return len(emulator.request_log)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("instances", [1, 6])
def test_collect(world: World, instances: int, lengths: Lengths) -> None:
    """A wrong secret in a new run every minute, which remembers nothing but the state."""
    world.put_key("wrong")
    codes = set()
    for _ in range(lengths.minutes):
        codes.update(batch.result for batch in run_cycle(world.collectors(instances)))
        world.seconds += 60
    assert codes == {Result.KEY_REFUSED}
    assert (tries(world.emulator), world.emulator.times_locked) == (most_tries(lengths.minutes), 0)
    world.put_key(SK)
    assert [batch.result for batch in run_cycle(world.collectors(instances))] == [Result.OK] * instances


def test_real_command(server: Server, program: Program, clock: FixedClock) -> None:
    config = server.config(program)
    began = clock.at

    def collect(minute: int, **environ: str) -> Any:
        clock.at = began + minute * 60
        write_shift(program.command[-1], clock.at - time.time())
        return program.process("collect", "--config", config, **environ)

    # A process begins within its minute, so that a wait of 5 minutes ends in the sixth.
    ended = {
        minute: parse_line(collect(minute, HW_SECRET_KEY="wrong").stdout.strip())["fields"]
        for minute in (0, 1, 4, 6, 15, 17, 36, 38)
    }
    assert [minute for minute, fields in ended.items() if fields["http_requests"]] == [0, 6, 17, 38]
    assert {fields["result_code"] for fields in ended.values()} == {Result.KEY_REFUSED}
    assert (tries(server.emulator), server.emulator.times_locked) == (4, 0)
    right = collect(39)
    assert (right.returncode, right.stderr) == (0, "")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("instances", "interval"), [(1, 5), (6, 1)])
def test_execd(world: World, instances: int, interval: int, lengths: Lengths) -> None:
    world.put_key("wrong")
    codes: List[int] = []
    cycles = lengths.minutes // interval

    def after(number: int, text: str) -> None:
        lines = [parse_line(line) for line in text.splitlines()]
        assert sum(line["measurement"] == "huawei_maas_api" for line in lines) == instances
        codes.append(lines[-1]["fields"]["result_code"])
        if number == cycles - 2:
            world.put_key(SK)

    said = run_execd(world, cycles, interval * 60, after, instances)
    assert world.emulator.times_locked == 0
    assert codes[-1] == Result.OK, "the right key was not used at the next cycle"
    assert set(codes[:-1]) == {Result.KEY_REFUSED}
    # One trouble: said at once, then hourly, and when it is over.
    assert len(said) <= instances * (lengths.minutes // 60 + 2)
    assert not any("recovered" in line for line in said[:-instances])


@pytest.mark.timeout(600)
def test_agent(
    cloud: Cloud,
    clock: FixedClock,
    agent: Callable[..., Any],
    aggregator: Any,
    monkeypatch: pytest.MonkeyPatch,
    lengths: Lengths,
) -> None:
    monkeypatch.setenv("HW_SECRET_KEY", "wrong")
    checks = [agent(cloud.entry(tags=[f"n:{i}"], min_collection_interval=60)) for i in range(6)]
    for _ in range(lengths.minutes):
        for check in checks:
            assert check.run() != ""
        clock.at += 60
        aggregator.reset()
    assert cloud.emulator.times_locked == 0
    assert tries(cloud.emulator) <= most_tries(lengths.minutes)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    assert [check.run() for check in checks] == [""] * 6


def undated(reply: Reply) -> None:
    """Say no more of a wrong clock than that it expired, nor when it is in the cloud."""
    del reply.headers["Date"]


def called_otherwise(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "ak not exist"}'


def said_by_date_alone(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "verify ak sk signature fail"}'


@pytest.mark.parametrize(("minutes", "words"), [(20, "20 minutes ahead of"), (-47, "47 minutes behind")])
@pytest.mark.parametrize("change", [lambda reply: None, undated, said_by_date_alone, called_otherwise])
def test_a_clock_set_right_ends_the_wait_with_the_next_collect_whatever_the_refusal_was_called(
    world: World, change: Callable[[Reply], None], minutes: int, words: str
) -> None:
    def instead(request: Request) -> Optional[Response]:
        reply = world.emulator.answer(request.method, request.url[len(URL) :], request.headers, request.body)
        change(reply)
        return Response(reply.status, reply.headers, reply.body)

    world.instead, world.off = instead, minutes * 60.0
    named = change is not called_otherwise
    for _ in range(3):
        (batch,) = run_cycle(world.collectors())
        assert batch.result == (Result.CLOCK_OFF if named else Result.KEY_REFUSED)
        assert (words in str(batch.problems[0])) == named
        world.seconds += 60
    assert tries(world.emulator) == 1
    world.instead, world.off = lambda request: None, 0.0
    (batch,) = run_cycle(world.collectors())
    assert (batch.result, batch.problems) == (Result.OK, ())
