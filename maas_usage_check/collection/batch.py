"""What a cycle yields: its points and its problems."""

from __future__ import annotations

from typing import Dict, FrozenSet, Iterable, List, Mapping, Sequence, Set, Tuple

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


def decisive_result(failures: Sequence[QueryError], worked: bool) -> Result:
    """Return the result of a cycle: of several failures, the one that the others follow from."""
    if worked:
        return Result.PARTIAL if failures else Result.OK
    if not failures:
        return Result.NOTHING_KEPT
    later = (Result.BACKING_OFF, Result.TIMED_OUT)
    return next((failure.result for failure in failures if failure.result not in later), failures[0].result)


def build_ranges(
    instance: Instance, plan: Plan, outcomes: Mapping[Query, Outcome], tags: Dict[str, str], time_ns: int, worked: bool
) -> Tuple[List[Point], List[Problem], Set[str]]:
    """Build a point of each series whose queries were all answered; return also the problems and Batch.answered."""
    where, level = instance.display_name, "W" if worked else "E"
    points: List[Point] = []
    failures: List[Tuple[QueryError, str]] = []
    warnings: Dict[str, List[str]] = {}
    for series in plan.series:
        answers = [outcomes[query] for query in series.queries]
        errors = [answer for answer in answers if isinstance(answer, QueryError)]
        failures += [(error, series.name) for error in errors]
        if not errors:
            fields = series.fields(answers)
            points.append(Point(series.measurement, {**series.tags, **tags}, fields, time_ns))
            if series.warning(fields):
                warnings.setdefault(series.warning(fields), []).append(series.name)
    problems = [
        Problem(level, f"{where}: {error} (no values for {', '.join(names)})", where)
        for error, names in group_by_cause(failures)
    ]
    if plan.expired:
        expired = ", ".join(plan.expired)
        text = f"{where}: no values for {expired}: the cloud keeps 30 days and the range lies before them"
        problems.append(Problem("W", text, f"{where} ranges"))
    problems += [
        Problem("W", f"{where}: {text} ({', '.join(names)})", f"{where} values") for text, names in warnings.items()
    ]
    answered = {f"{where} ranges", *([where] if worked else []), *([] if failures else [f"{where} values"])}
    return points, problems, answered


def group_by_cause(failures: Sequence[Tuple[QueryError, str]]) -> List[Tuple[QueryError, Iterable[str]]]:
    """Return an error of each cause, the decisive first, with the names of the series that have no values."""
    causes: Dict[Tuple[Result, bool], List[Tuple[QueryError, str]]] = {}
    for error, name in failures:
        # A query that was not sent in time has another cause than an answer that did not come in time.
        cause = error.result, error.is_consequence and error.result == Result.TIMED_OUT
        causes.setdefault(cause, []).append((error, name))
    groups: List[Tuple[QueryError, Iterable[str]]] = []
    for group in causes.values():
        error, _ = min(group, key=lambda failure: failure[0].is_consequence)
        groups.append((error, dict.fromkeys(name for _, name in group)))
    first = decisive_result([error for error, _ in groups], False)
    return sorted(groups, key=lambda group: (group[0].result != first, group[0].is_consequence))
