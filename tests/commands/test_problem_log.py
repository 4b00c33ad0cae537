"""The problem log: a new problem at once, a lasting one once an hour, and real recoveries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

from maas_usage_check.cloud import Request, Response
from maas_usage_check.commands.problem_log import ProblemLog
from maas_usage_check.errors import Problem, QueryError, Result
from maas_usage_check.ledger import HOURS, Consumer

from ..conftest import SK
from ..faults.simulation import Simulation, run_execd


def test_repeats_and_recovery() -> None:
    """A lasting problem is logged once an hour, although its numbers and request ids change, then its recovery."""
    now, lines = [0.0], []  # type: ignore[var-annotated]
    log = ProblemLog(lines.append, lambda: now[0])
    for minute in range(0, 130, 5):
        now[0] = minute * 60.0
        wait = f". Retrying in {minute} min to avoid a lockout; a replaced key is tried in the next cycle"
        text = f"refused, {minute / 7:.2f} s [401 request {minute}ab]{wait if minute % 10 else ''}, id {minute:08x}"
        log.report([Problem("E", text, "refused")] if minute < 120 else [], {"refused"})
    assert [line[:18] for line in lines] == ["E! refused, 0.00 s", "E! refused, 8.57 s", "I! refused: recove"]


def logged(*reports: List[Problem]) -> List[str]:
    """Return the lines of consecutive reports within one hour."""
    lines: List[str] = []
    log = ProblemLog(lines.append, lambda: 0.0)
    for problems in reports:
        log.report(problems, {"a"})
    return lines


def test_new_text_of_the_same_key() -> None:
    """A new text, or a higher level of the same text, is logged at once."""
    one, other, error = Problem("W", "x", "a"), Problem("W", "y", "a"), Problem("E", "x", "a")
    assert logged([one], [other], [one], [one, other], [], [one]) == ["W! x", "W! y", "I! a: recovered", "W! x"]
    assert logged([one], [one], [error], [one], [error]) == ["W! x", "E! x"]


def test_unchecked_problem_has_not_recovered() -> None:
    assert logged([Problem("W", "x", "b")], [], [Problem("W", "x", "b")]) == ["W! x"]


def test_no_recovery_of_information() -> None:
    """`I!` lines, and problems without a key, are logged without a recovery."""
    reports = [Problem("I", "the backfill begins", "a"), Problem("W", "2 ids are left out", "")]
    assert logged(reports, []) == ["I! the backfill begins", "W! 2 ids are left out"]


Responder = Callable[[Request], Optional[Response]]


def failing(result: Result) -> Responder:
    def fail(request: Request) -> Optional[Response]:
        raise QueryError(result, f"the cloud is {result.name}")

    return fail


def denied(request: Request) -> Optional[Response]:
    return Response(403, {}, b"{}") if "/V1.0/" in request.url else None


def test_daemon_for_days(tmp_path: Path) -> None:
    """An outage of changing errors does not recover; each error of the key file is logged; skipped queries are not."""
    simulation = Simulation(tmp_path)
    outage: List[Any] = [Result.NETWORK, Result.TIMED_OUT, Result.SERVER_ERROR] * 3
    no_key = [
        simulation.key_file.unlink,
        lambda: simulation.key_file.write_text("one"),
        lambda: simulation.key_file.write_bytes(b"\xff,\xfe"),
    ]
    steps: List[Tuple[Any, Responder]] = [
        *((None, failing(result)) for result in outage),
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
