"""A monitor is never what locks a key: hours of a wrong secret (a day in tests/soak), on every surface."""

from __future__ import annotations

import multiprocessing
import re
import time
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud import DirectTransport, Request, Response
from maas_usage_check.cycle import run_cycle
from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import Emulator, Reply

from ..conftest import SK, Cloud, FixedClock, Program
from ..shifted_clock import write_shift
from .server import Server
from .world import World, run_execd

WAITS = (5, 10, 20, 40)
"""Minutes after the first refusals; then it is tried every hour."""
both = pytest.mark.parametrize("instances", [1, 6])


def most_tries(minutes: int) -> int:
    """Count the tries of a wrong key that is asked for every minute."""
    first = sum(sum(WAITS[:i]) < minutes for i in range(len(WAITS) + 1))
    return first + max(0, minutes - 1 - sum(WAITS)) // 60


def tries(emulator: Emulator) -> int:
    return len(emulator.requests)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@both
@pytest.mark.timeout(600)
def test_collect(world: World, instances: int, minutes: int) -> None:
    """A wrong secret in a new run every minute, which remembers nothing but the state."""
    world.put_key("wrong")
    codes = set()
    for _ in range(minutes):
        codes.update(batch.result for batch in run_cycle(world.collectors(instances)))
        world.seconds += 60
    assert codes == {Result.KEY_REFUSED, Result.BACKING_OFF}
    assert world.emulator.times_locked == 0
    assert tries(world.emulator) <= most_tries(minutes)
    world.put_key(SK)
    assert [batch.result for batch in run_cycle(world.collectors(instances))] == [Result.OK] * instances


def run_in_a_process(folder: Path, seconds: float, url: str) -> None:
    """Run one cycle that shares nothing but the state folder with the others."""
    world = World(folder)
    world.put_key("wrong")
    world.seconds = seconds
    (collector,) = world.collectors(1, endpoint=url, iam_endpoint=url)
    collector._transport = DirectTransport(collector.instance)
    collector.cycle()


@pytest.mark.timeout(600)
def test_processes(world: World, server: Server, tmp_path: Path, minutes: int) -> None:
    server.emulator.now = world.clock.now
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_lockout", "maas_usage_check.cloud"])
    for _ in range(minutes):
        process = context.Process(target=run_in_a_process, args=(tmp_path, world.seconds, server.url))
        process.start()
        process.join(50)
        assert process.exitcode == 0
        world.seconds += 60
    assert server.emulator.times_locked == 0
    assert tries(server.emulator) == most_tries(minutes)


def test_real_command(server: Server, program: Program, clock: FixedClock) -> None:
    config = program.config(f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n")
    began = clock.at

    def collect(minute: int, **environ: str) -> Any:
        clock.at = began + minute * 60
        write_shift(program.command[-1], clock.at - time.time())
        return program.process("collect", "--config", config, **environ)

    # A process begins within its minute, so that a wait of 5 minutes ends in the sixth.
    codes = {
        minute: parse_line(collect(minute, HW_SECRET_KEY="wrong").stdout.strip())["fields"]["result_code"]
        for minute in (0, 1, 4, 6, 15, 17, 36, 38)
    }
    assert [minute for minute, code in codes.items() if code == Result.KEY_REFUSED] == [0, 6, 17, 38]
    assert set(codes.values()) == {Result.KEY_REFUSED, Result.BACKING_OFF}
    assert (tries(server.emulator), server.emulator.times_locked) == (4, 0)
    right = collect(39)
    assert (right.returncode, right.stderr) == (0, "")


@both
@pytest.mark.timeout(600)
@pytest.mark.parametrize("interval", [1, 5])
def test_execd(world: World, instances: int, interval: int, minutes: int) -> None:
    world.put_key("wrong")
    codes: List[int] = []

    def after(number: int, text: str) -> None:
        lines = [parse_line(line) for line in text.splitlines()]
        assert sum(line["measurement"] == "huawei_maas_api" for line in lines) == instances
        codes.append(lines[-1]["fields"]["result_code"])
        if number == minutes // interval - 2:
            world.put_key(SK)

    said = run_execd(world, minutes // interval, interval * 60, after, instances)
    assert world.emulator.times_locked == 0
    assert codes[-1] == Result.OK, "the right key was not used at the next cycle"
    assert set(codes[:-1]) <= {Result.KEY_REFUSED, Result.BACKING_OFF}
    # One trouble: said at once, then hourly, and when it is over.
    assert len(said) <= instances * (minutes // 60 + 2)
    assert not any("recovered" in line for line in said[:-instances])


@pytest.mark.timeout(600)
def test_agent(
    cloud: Cloud,
    clock: FixedClock,
    agent: Callable[..., Any],
    aggregator: Any,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
) -> None:
    monkeypatch.setenv("HW_SECRET_KEY", "wrong")
    checks = [agent(cloud.entry(tags=[f"n:{i}"], min_collection_interval=60)) for i in range(6)]
    for _ in range(minutes):
        for check in checks:
            assert check.run() != ""
        clock.at += 60
        aggregator.reset()
    assert cloud.emulator.times_locked == 0
    assert tries(cloud.emulator) <= most_tries(minutes)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    assert [check.run() for check in checks] == [""] * 6


@pytest.mark.parametrize(("minutes", "words"), [(20, "20 minutes ahead of"), (-47, "47 minutes behind")])
def test_a_clock_that_is_off_is_named_with_the_minutes_while_it_lasts_too(
    world: World, minutes: int, words: str
) -> None:
    world.off = minutes * 60.0
    lines = []
    for _ in range(12):
        (batch,) = run_cycle(world.collectors())
        lines.append(str(batch.problems[0]))
        world.seconds += 60
    assert all(words in line for line in lines), lines
    assert batch.result in (Result.CLOCK_OFF, Result.BACKING_OFF)
    assert world.emulator.times_locked == 0


def undated(reply: Reply) -> None:
    """Say no more of a wrong clock than that it expired, nor when it is in the cloud."""
    del reply.headers["Date"]


def called_otherwise(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "ak not exist"}'


def said_by_date_alone(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "verify ak sk signature fail"}'


TOLD = {
    "in full": (lambda reply: None, Result.CLOCK_OFF),
    "without a Date": (undated, Result.CLOCK_OFF),
    "by the Date alone": (said_by_date_alone, Result.CLOCK_OFF),
    "as another fault": (called_otherwise, Result.KEY_REFUSED),
}


def refusing(world: World, change: Callable[[Reply], None]) -> Callable[[Request], Optional[Response]]:
    """Let the emulator decide, and only word its refusals otherwise."""

    def instead(request: Request) -> Response:
        reply = world.emulator.answer(
            request.method, request.url[request.url.index("/v") :], request.headers, request.body
        )
        if reply.status == 401:
            change(reply)
        return Response(reply.status, reply.headers, reply.body)

    return instead


@pytest.mark.parametrize("minutes", [20, -47])
@pytest.mark.parametrize("told", TOLD)
def test_a_clock_set_right_ends_the_wait_with_the_next_collect_whatever_the_refusal_was_called(
    world: World, told: str, minutes: int
) -> None:
    change, result = TOLD[told]
    world.instead, world.off = refusing(world, change), minutes * 60.0
    for expected in (result, Result.BACKING_OFF, Result.BACKING_OFF):
        (batch,) = run_cycle(world.collectors())
        assert batch.result == expected
        world.seconds += 60
    assert tries(world.emulator) == 1
    world.off = 0.0
    (batch,) = run_cycle(world.collectors())
    assert (batch.result, batch.problems) == (Result.OK, ())


def test_a_clock_set_right_ends_the_wait_with_the_next_cycle_of_execd(world: World) -> None:
    world.off = 20 * 60.0
    codes: List[int] = []

    def after(number: int, text: str) -> None:
        codes.append(parse_line(text.splitlines()[-1])["fields"]["result_code"])
        world.off = 0.0 if number == 2 else world.off

    said = run_execd(world, 4, 60, after)
    assert codes == [Result.CLOCK_OFF, Result.BACKING_OFF, Result.BACKING_OFF, Result.OK]
    assert [line[:3] for line in said] == ["E! ", "I! "]


def test_a_clock_set_right_ends_no_wait_of_a_key_that_is_wrong(world: World) -> None:
    world.put_key("wrong")
    world.off = 60.0
    run_cycle(world.collectors())
    world.off = 0.0
    (batch,) = run_cycle(world.collectors())
    assert (batch.result, tries(world.emulator)) == (Result.BACKING_OFF, 1)


def test_a_refusal_is_remembered_over_a_kill_of_execd(server: Server, program: Program) -> None:
    config = program.config(f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n")
    for _ in range(3):
        process = program.start("execd", "--config", config, HW_SECRET_KEY="wrong")
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"\n")
        assert re.search(rb"result_code=[35]i", process.stdout.readline())
        process.kill()
        process.communicate()
    assert tries(server.emulator) == 1
