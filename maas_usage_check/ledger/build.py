"""The part of a planner in a batch: its points and its problems."""

from __future__ import annotations

from typing import List, Sequence, Union

from ..errors import Problem, QueryError
from ..metrics import Point
from .planner import CycleEnd, Failure, PartialBatch, Planner, state_problem


def build(planner: Planner, where: str, end: CycleEnd, emitted: Union[List[Point], Failure]) -> PartialBatch:
    """Build points and problems.

    Args:
        planner: of the cycle.
        where: names the instance.
        end: of the cycle.
        emitted: the result of `emit`, or the failure that prevented it.
    """
    texts = planner.texts
    own = planner.details(end, isinstance(emitted, list))
    points, problems = list(own.points), []
    answered = {*own.answered, *([f"{where} {texts.topic}"] if None in end.ends else [])}
    if end.failures:
        text = first_failure(end.failures, texts.unanswered)
        problems.append(Problem("W", f"{where}: {texts.prefix}{text}", f"{where} {texts.topic}"))
    if isinstance(emitted, list):
        points += emitted
        answered.add(f"{where} {texts.topic}' state")
    failure, missing = (end.failure, texts.unplanned) if isinstance(emitted, list) else (emitted, texts.paused)
    if failure:
        problems.append(state_problem(where, f"{texts.topic}' state", missing, failure))
    is_partial = own.is_partial or bool(failure)
    return PartialBatch(points, own.health, [*problems, *own.problems], is_partial, answered)


def first_failure(failures: Sequence[QueryError], missing: str) -> str:
    """Write one line: the first failure of a query that was sent, the number of others, and the missing data."""
    first = next((failure for failure in failures if not failure.is_consequence), failures[0])
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{first} ({missing}{more})"
