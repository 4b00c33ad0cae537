from __future__ import annotations

from typing import List

from maas_usage_check.cycle import Problem
from maas_usage_check.surfaces.problem_log import ProblemLog


def test_a_trouble_is_said_once_again_after_an_hour_and_when_it_is_over() -> None:
    now, said = [0.0], []  # type: ignore[var-annotated]
    troubles = ProblemLog(said.append, lambda: now[0])
    lines: List[int] = []
    for minute in range(0, 130, 5):
        now[0] = minute * 60.0
        troubles.report([Problem("E", f"refused, {minute} min left", "refused")] if minute < 120 else [])
        lines.append(len(said))
    assert said == ["E! refused, 0 min left", "E! refused, 60 min left", "I! refused: recovered"]


def said(*reports: List[Problem]) -> List[str]:
    """List what is said of reports in a row."""
    lines: List[str] = []
    troubles = ProblemLog(lines.append, lambda: 0.0)
    for problems in reports:
        troubles.report(problems)
    return lines


def test_another_trouble_is_said_at_once() -> None:
    one, other = Problem("W", "a", "a"), Problem("W", "b", "b")
    assert said([one], [one, other]) == ["W! a", "W! b"]


def test_a_trouble_that_becomes_an_error_is_said_anew_once_however_often_it_changes() -> None:
    reports = [[Problem(level, "refused", "refused")] for level in "WWEEWEW"]
    assert said(*reports) == ["W! refused", "E! refused"]


def test_what_is_no_trouble_or_said_once_is_said_as_it_comes_and_never_recovered_from() -> None:
    reports = [Problem("I", "the backfill begins", "backfill"), Problem("W", "2 ids are left out", "")]
    assert said(reports, []) == ["I! the backfill begins", "W! 2 ids are left out"]
