"""What a cycle yields: its points and its problems."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Mapping, Sequence, Set, Tuple

from msgspec import Struct

from ..cloud import Outcome, Plan, Query
from ..config import Instance
from ..errors import Problem, QueryError, Result
from ..metrics import Point


class Batch(Struct, frozen=True):
    """What one cycle yields.

    Attributes:
        points: the last one is the health of the instance.
        problems: what went wrong, the decisive first.
        result: the cycle's.
        outcomes: the answer or the error of each query for a range.
        collected: true if any query was answered.
        answered: the keys of the problems that this cycle looked for; one without a problem has recovered.
    """

    points: Tuple[Point, ...]
    problems: Tuple[Problem, ...]
    result: Result
    outcomes: Dict[Query, Outcome]
    collected: bool
    answered: FrozenSet[str] = frozenset()


def build_points(
    plan: Plan, outcomes: Mapping[Query, Outcome], tags: Dict[str, str], time_ns: int
) -> Tuple[List[Point], Dict[str, List[str]]]:
    """Build a point of each series whose queries were all answered; return also the series of each warning."""
    points: List[Point] = []
    warnings: Dict[str, List[str]] = {}
    for series in plan.series:
        answers = [outcomes[query] for query in series.queries]
        if not any(isinstance(answer, QueryError) for answer in answers):
            fields = series.fields(answers)
            points.append(Point(series.measurement, {**series.tags, **tags}, fields, time_ns))
            if series.warning(fields):
                warnings.setdefault(series.warning(fields), []).append(series.name)
    return points, warnings


def decisive_result(failures: Sequence[QueryError], worked: bool) -> Result:
    """Return the result of a cycle: of several failures, the one that the others follow from."""
    if worked:
        return Result.PARTIAL if failures else Result.OK
    if not failures:
        return Result.NOTHING_KEPT
    later = (Result.BACKING_OFF, Result.TIMED_OUT)
    return next((failure.result for failure in failures if failure.result not in later), failures[0].result)


def answered_keys(instance: Instance, outcomes: Mapping[Query, Outcome], worked: bool) -> Set[str]:
    """Return the keys of the problems that a cycle looked for."""
    where = instance.display_name
    has_values = not any(isinstance(outcome, QueryError) for outcome in outcomes.values())
    return {f"{where} ranges", *([where] if worked else []), *([f"{where} values"] if has_values else [])}


def list_problems(
    instance: Instance,
    plan: Plan,
    outcomes: Mapping[Query, Outcome],
    worked: bool,
    warnings: Mapping[str, Sequence[str]],
) -> List[Problem]:
    """List the problems of the ranges, one for each cause, the decisive first, with the series that have no values."""
    causes: Dict[Tuple[Result, bool], Tuple[QueryError, Dict[str, None]]] = {}
    for series in plan.series:
        for query in series.queries:
            outcome = outcomes[query]
            if isinstance(outcome, QueryError):
                # A query that was not sent in time has another cause than an answer that did not come in time.
                cause = outcome.result, outcome.is_consequence and outcome.result == Result.TIMED_OUT
                error, names = causes.get(cause, (outcome, {}))
                names[series.name] = None
                causes[cause] = (outcome if error.is_consequence and not outcome.is_consequence else error, names)
    level, where = "W" if worked else "E", instance.display_name
    first = decisive_result([error for error, _ in causes.values()], False)
    problems = [
        Problem(level, f"{where}: {error} (no values for {', '.join(names)})", where)
        for error, names in sorted(
            causes.values(), key=lambda cause: (cause[0].result != first, cause[0].is_consequence)
        )
    ]
    if plan.expired:
        expired = ", ".join(plan.expired)
        text = f"{where}: no values for {expired}: the cloud keeps 30 days and the range lies before them"
        problems.append(Problem("W", text, f"{where} ranges"))
    problems += [
        Problem("W", f"{where}: {text} ({', '.join(names)})", f"{where} values") for text, names in warnings.items()
    ]
    return problems
