"""A monitor is never what locks a key: 24 simulated hours of a wrong secret, on every surface."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud import Request, Response
from maas_usage_check.cycle import Batch, run_cycle
from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import Emulator, Reply

from ..conftest import NOW, SK, Cloud, Program
from .server import Server
from .world import World, run_execd

DAY = 24 * 60
MOST_TRIES = 28
"""After 5, 10, 20, 40 minutes, then every 60: 4 + 23 in a day, and the first."""


def tries(emulator: Emulator) -> int:
    return len(emulator.requests)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("instances", [1, 6])
def test_a_wrong_secret_under_collect_every_minute_for_a_day(world: World, instances: int) -> None:
    world.put_key("wrong")
    codes = set()
    for _ in range(DAY):
        batches = run_cycle(world.collectors(instances))  # nothing in memory outlives the minute
        codes.update(batch.result for batch in batches)
        world.seconds += 60
    assert codes == {Result.KEY_REFUSED, Result.BACKING_OFF}
    assert world.emulator.times_locked == 0
    assert tries(world.emulator) <= MOST_TRIES
    world.put_key(SK)
    assert [batch.result for batch in run_cycle(world.collectors(instances))] == [Result.OK] * instances


def a_minute(folder: Path, seconds: float, port: int) -> None:
    """Run one cycle in a process that knows nothing but the state folder."""
    from maas_usage_check.cloud import DirectTransport

    world = World.__new__(World)
    world.__init__(folder)  # type: ignore[misc] # the key file stays as the test put it
    world.put_key("wrong")
    world.seconds = seconds
    url = f"http://127.0.0.1:{port}"
    (collector,) = world.collectors(1, endpoint=url, iam_endpoint=url)
    collector._transport = DirectTransport(collector.instance)
    collector.cycle()


def test_a_wrong_secret_under_a_new_process_every_minute_for_a_day(
    world: World, server: Server, tmp_path: Path
) -> None:
    server.emulator.now = world.clock.now
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_lockout", "maas_usage_check.transport"])
    for _ in range(DAY):
        process = context.Process(target=a_minute, args=(tmp_path, world.seconds, server.port))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        world.seconds += 60
    assert server.emulator.times_locked == 0
    assert 20 < tries(server.emulator) <= MOST_TRIES


def test_a_wrong_secret_under_the_real_command_every_minute(
    server: Server, program: Program, need: Callable[[str], str]
) -> None:
    """The program itself, its clock moved from outside; half an hour, for six minutes would lock the key."""
    need("faketime")
    seconds = [0.0]
    server.emulator.now = lambda: NOW + seconds[0]
    config = program.config(f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n")
    program.environ.update(FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1", TZ="UTC")
    plain = program.command

    def collect(**environ: str) -> Any:
        program.command = ["faketime", "-f", f"@2026-11-23 12:{int(seconds[0]) // 60:02d}:00", *plain]
        done = program("collect", "--config", config, **environ)
        seconds[0] += 60
        return done

    codes = [parse_line(collect(HW_SECRET_KEY="wrong").stdout.strip())["fields"]["result_code"] for _ in range(30)]
    # A process starts within its minute, and so the waits end a moment into the next.
    tried = [minute for minute, code in enumerate(codes) if code == Result.KEY_REFUSED]
    assert (len(tried), tried[0]) == (3, 0)
    assert set(codes) == {Result.KEY_REFUSED, Result.BACKING_OFF}
    assert server.emulator.times_locked == 0
    right = collect()
    assert (right.returncode, right.stderr) == (0, "")


@pytest.mark.parametrize("instances", [1, 6])
@pytest.mark.parametrize("minutes", [1, 5])
def test_a_wrong_secret_under_execd_for_a_day(world: World, instances: int, minutes: int) -> None:
    world.put_key("wrong")
    codes: List[int] = []

    def after(number: int, text: str) -> None:
        lines = [parse_line(line) for line in text.splitlines()]
        assert sum(line["measurement"] == "huawei_maas_api" for line in lines) == instances
        codes.append(lines[-1]["fields"]["result_code"])
        if number == DAY // minutes - 2:
            world.put_key(SK)

    said = run_execd(world, DAY // minutes, minutes * 60, after, instances)
    assert world.emulator.times_locked == 0
    assert codes[-1] == Result.OK, "the right key was not used at the next cycle"
    assert set(codes[:-1]) <= {Result.KEY_REFUSED, Result.BACKING_OFF}
    # One trouble, for a day: said at once, then hourly, and when it is over.
    assert len(said) <= instances * (24 + 2)
    assert not any("recovered" in line for line in said[:-instances])


def test_a_wrong_secret_under_the_agents_check_for_a_day(
    cloud: Cloud, clock: FixedClock, agent: Callable[..., Any], aggregator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW_SECRET_KEY", "wrong")
    checks = [agent(cloud.entry(tags=[f"n:{i}"], min_collection_interval=60), hands) for i in range(6)]
    for _ in range(DAY):
        for check in checks:
            assert check.run() != ""
        clock.at += 60
        aggregator.reset()
    assert cloud.emulator.times_locked == 0
    assert tries(cloud.emulator) <= MOST_TRIES
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
    assert {batch_code(batch) for batch in run_cycle(world.collectors())} <= {Result.CLOCK_OFF, Result.BACKING_OFF}
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


@pytest.mark.parametrize("minutes", [20, -47])
@pytest.mark.parametrize("told", TOLD)
def test_a_clock_set_right_ends_the_wait_with_the_next_cycle_of_execd(world: World, told: str, minutes: int) -> None:
    change, result = TOLD[told]
    world.instead, world.off = refusing(world, change), minutes * 60.0
    codes: List[int] = []

    def after(number: int, text: str) -> None:
        codes.append(parse_line(text.splitlines()[-1])["fields"]["result_code"])
        world.off = 0.0 if number == 2 else world.off

    said = run_execd(world, 4, 60, after)
    assert codes == [result, Result.BACKING_OFF, Result.BACKING_OFF, Result.OK]
    assert [line[:3] for line in said] == ["E! ", "I! "]


def test_a_clock_set_right_ends_no_wait_of_a_key_that_is_wrong(world: World) -> None:
    world.put_key("wrong")
    world.off = 60.0
    run_cycle(world.collectors())
    world.off = 0.0
    (batch,) = run_cycle(world.collectors())
    assert (batch.result, tries(world.emulator)) == (Result.BACKING_OFF, 1)


def batch_code(batch: Batch) -> Result:
    return batch.result


def test_a_refusal_is_remembered_over_a_kill_of_execd(server: Server, program: Program) -> None:
    config = program.config(f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n")
    for _ in range(8):
        process = program.start("execd", "--config", config, HW_SECRET_KEY="wrong")
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"\n")
        assert re.search(rb"result_code=[35]i", process.stdout.readline())
        process.kill()
        process.communicate()
    assert tries(server.emulator) == 1
