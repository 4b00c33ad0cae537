"""A wrong secret for hours (a day in tests/soak) never locks the key, on any surface."""

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
from .faulty_cloud import FaultyServer
from .simulation import URL, Simulation, run_execd

WAITS = (5, 10, 20, 40)
"""Minutes of the first waits after refusals; later ones last an hour."""


def expected_tries(minutes: int) -> int:
    """Return how often a wrong key is tried when a cycle runs every minute."""
    first = sum(sum(WAITS[:i]) < minutes for i in range(len(WAITS) + 1))
    return first + max(0, minutes - 1 - sum(WAITS)) // 60


def tries(emulator: Emulator) -> int:
    return len(emulator.request_log)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("instances", [1, 6])
def test_collect(simulation: Simulation, instances: int, lengths: Lengths) -> None:
    """A new run every minute shares only the state with the one before."""
    simulation.write_key("wrong")
    codes = set()
    for _ in range(lengths.lockout_minutes):
        codes.update(batch.result for batch in run_cycle(simulation.collectors(instances)))
        simulation.elapsed_s += 60
    assert codes == {Result.KEY_REFUSED}
    assert (tries(simulation.emulator), simulation.emulator.lockouts) == (
        expected_tries(lengths.lockout_minutes),
        0,
    )
    simulation.write_key(SK)
    assert [batch.result for batch in run_cycle(simulation.collectors(instances))] == [Result.OK] * instances


def test_real_command(server: FaultyServer, program: Program, clock: FixedClock) -> None:
    """Processes of the command wait as the state says: 5, 10 and 20 minutes."""
    config = server.config(program)
    began = clock.at

    def collect(minute: int, **environ: str) -> Any:
        clock.at = began + minute * 60
        write_shift(program.command[-1], clock.at - time.time())
        return program.process("collect", "--config", config, **environ)

    # A process starts some time within its minute, so a wait of 5 minutes ends in the sixth.
    ended = {
        minute: parse_line(collect(minute, HW_SECRET_KEY="wrong").stdout.strip())["fields"]
        for minute in (0, 1, 4, 6, 15, 17, 36, 38)
    }
    assert [minute for minute, fields in ended.items() if fields["http_requests"]] == [0, 6, 17, 38]
    assert {fields["result_code"] for fields in ended.values()} == {Result.KEY_REFUSED}
    assert (tries(server.emulator), server.emulator.lockouts) == (4, 0)
    right = collect(39)
    assert (right.returncode, right.stderr) == (0, "")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("instances", "interval"), [(1, 5), (6, 1)])
def test_execd(simulation: Simulation, instances: int, interval: int, lengths: Lengths) -> None:
    simulation.write_key("wrong")
    codes: List[int] = []
    cycles = lengths.lockout_minutes // interval

    def after(number: int, text: str) -> None:
        lines = [parse_line(line) for line in text.splitlines()]
        assert sum(line["measurement"] == "huawei_maas_api" for line in lines) == instances
        codes.append(lines[-1]["fields"]["result_code"])
        if number == cycles - 2:
            simulation.write_key(SK)

    log_lines = run_execd(simulation, cycles, interval * 60, after, instances)
    assert simulation.emulator.lockouts == 0
    assert codes[-1] == Result.OK, "the right key was not used in the next cycle"
    assert set(codes[:-1]) == {Result.KEY_REFUSED}
    # A failure is logged at once, then hourly, and when it ends.
    assert len(log_lines) <= instances * (lengths.lockout_minutes // 60 + 2)
    assert not any("recovered" in line for line in log_lines[:-instances])


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
    for _ in range(lengths.lockout_minutes):
        for check in checks:
            assert check.run() != ""
        clock.at += 60
        aggregator.reset()
    assert cloud.emulator.lockouts == 0
    assert tries(cloud.emulator) <= expected_tries(lengths.lockout_minutes)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    assert [check.run() for check in checks] == [""] * 6


def without_date(reply: Reply) -> None:
    """Leave only the error text, which says that the signature expired."""
    del reply.headers["Date"]


def unknown_key(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "ak not exist"}'


def only_date(reply: Reply) -> None:
    reply.body = b'{"error_code": "APIGW.0301", "error_msg": "verify ak sk signature fail"}'


@pytest.mark.parametrize(("minutes", "words"), [(20, "20 minutes ahead of"), (-47, "47 minutes behind")])
@pytest.mark.parametrize("change", [lambda reply: None, without_date, only_date, unknown_key])
def test_clock_set_right(simulation: Simulation, change: Callable[[Reply], None], minutes: int, words: str) -> None:
    """Once the clock is set right, the next collect tries again, whatever error the refusal had."""

    def answer(request: Request) -> Optional[Response]:
        reply = simulation.emulator.answer(request.method, request.url[len(URL) :], request.headers, request.body)
        change(reply)
        return Response(reply.status, reply.headers, reply.body)

    simulation.intercept, simulation.clock_error_s = answer, minutes * 60.0
    is_clock_error = change is not unknown_key
    for _ in range(3):
        (batch,) = run_cycle(simulation.collectors())
        assert batch.result == (Result.CLOCK_OFF if is_clock_error else Result.KEY_REFUSED)
        assert (words in str(batch.problems[0])) == is_clock_error
        simulation.elapsed_s += 60
    assert tries(simulation.emulator) == 1
    simulation.intercept, simulation.clock_error_s = lambda request: None, 0.0
    (batch,) = run_cycle(simulation.collectors())
    assert (batch.result, batch.problems) == (Result.OK, ())
