"""What daemons log of their problems: each once an hour, what is new at once, and a recovery that is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

from maas_usage_check.cloud import Request, Response
from maas_usage_check.collection import Problem
from maas_usage_check.commands.problem_log import ProblemLog
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger import HOURS, Consumer

from ..conftest import SK
from ..faults.simulation import Simulation, run_execd


def test_a_problem_is_logged_hourly_and_once_more_when_it_is_over() -> None:
    """Also where its numbers change, and the ids of requests."""
    now, said = [0.0], []  # type: ignore[var-annotated]
    log = ProblemLog(said.append, lambda: now[0])
    lines: List[int] = []
    for minute in range(0, 130, 5):
        now[0] = minute * 60.0
        wait = f". Retrying in {minute} min to avoid a lockout; a replaced key is tried in the next cycle"
        text = f"refused, {minute / 7:.2f} s [401 request {minute}ab]{wait if minute % 10 else ''}, id {minute:08x}"
        log.report([Problem("E", text, "refused")] if minute < 120 else [], {"refused"})
        lines.append(len(said))
    assert [line[:18] for line in said] == ["E! refused, 0.00 s", "E! refused, 8.57 s", "I! refused: recove"]


def said(*reports: List[Problem]) -> List[str]:
    """List what is logged of reports in a row, all of it within one hour."""
    lines: List[str] = []
    log = ProblemLog(lines.append, lambda: 0.0)
    for problems in reports:
        log.report(problems, {"a"})
    return lines


def test_another_text_of_the_same_key_is_logged_at_once() -> None:
    one, other, error = Problem("W", "x", "a"), Problem("W", "y", "a"), Problem("E", "x", "a")
    assert said([one], [other], [one], [one, other], [], [one]) == ["W! x", "W! y", "I! a: recovered", "W! x"]
    assert said([one], [one], [error], [one], [error]) == ["W! x", "E! x"], "as an error it is another thing"


def test_what_was_not_answered_has_not_recovered() -> None:
    assert said([Problem("W", "x", "b")], [], [Problem("W", "x", "b")]) == ["W! x"]


def test_what_is_no_problem_or_logged_once_is_never_recovered_from() -> None:
    reports = [Problem("I", "the backfill begins", "a"), Problem("W", "2 ids are left out", "")]
    assert said(reports, []) == ["I! the backfill begins", "W! 2 ids are left out"]


RandomFaults = Callable[[Request], Optional[Response]]


def fails(result: Result) -> RandomFaults:
    def fail(request: Request) -> Optional[Response]:
        raise QueryError(result, f"the cloud is {result.name}")

    return fail


def denied(request: Request) -> Optional[Response]:
    return Response(403, {}, b"{}") if "/V1.0/" in request.url else None


def test_days_of_a_daemon(tmp_path: Path) -> None:
    """An outage that alternates does not recover; each mistake with the file is named; what is not asked is silent."""
    simulation = Simulation(tmp_path)
    outage: List[Any] = [Result.NETWORK, Result.TIMED_OUT, Result.SERVER_ERROR] * 3
    no_key = [
        simulation.key_file.unlink,
        lambda: simulation.key_file.write_text("one"),
        lambda: simulation.key_file.write_bytes(b"\xff,\xfe"),
    ]
    steps: List[Tuple[Any, RandomFaults]] = [
        *((None, fails(result)) for result in outage),
        (None, lambda request: None),
        (None, denied),
        *((act, denied) for act in no_key),
        (lambda: simulation.write_key(SK), lambda request: None),
    ]

    def after(number: int, text: str) -> None:
        if number + 1 < len(steps):
            act, simulation.intercept = steps[number + 1]
            _ = act and act()

    simulation.intercept = steps[0][1]
    lines = run_execd(simulation, len(steps), 60, after, consumer=Consumer("x", HOURS), models=True)
    lines = [re.sub(r"cn-southwest-2 \(\S+ n:0\)|credentials file \S+ ", "", line) for line in lines]
    expected = [
        *(f"{start}the cloud is {result.name} " for result in outage[:3] for start in ("E! : ", "W! : Cloud Eye: ")),
        "W! : Cloud Eye lists 3 metrics",
        "I! : recovered",
        "I!  models: recovered",
        "W! : Cloud Eye: the key's user lacks a permission",
        "E! : cannot be read",
        "E! : has none of the three shapes",
        "E! : is not UTF-8 text",
        "I!  models: recovered",
        "I! : recovered",
    ]
    assert [line[: len(start)] for line, start in zip(lines, expected)] == expected
    assert len(lines) == len(expected)
