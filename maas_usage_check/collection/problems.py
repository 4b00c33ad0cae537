"""What a cycle has to say of itself: each kind of trouble once, the decisive first."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence, Set, Tuple

from ..cloud import Outcome, Plan, Query
from ..config import Instance
from ..errors import Problem, QueryError, Result


def decisive(failures: Sequence[QueryError], worked: bool) -> Result:
    """Choose the result of a cycle: of several failures the one that the others follow from."""
    if worked:
        return Result.PARTIAL if failures else Result.OK
    if not failures:
        return Result.NOTHING_KEPT
    # The first that asked knows why; the others were held back because of it.
    later = (Result.BACKING_OFF, Result.TIMED_OUT)
    return next((failure.result for failure in failures if failure.result not in later), failures[0].result)


def answered_of(instance: Instance, outcomes: Mapping[Query, Outcome], worked: bool) -> Set[str]:
    """Return the keys of the parts that this cycle queried: a part without a problem has recovered."""
    where = instance.display_name
    keys = {f"{where} ranges"}
    if worked:
        keys.add(where)
    if not any(isinstance(outcome, QueryError) for outcome in outcomes.values()):
        keys.add(f"{where} values")
    return keys


def problems_of(
    instance: Instance, plan: Plan, outcomes: Dict[Query, Outcome], worked: bool, doubts: Mapping[str, Sequence[str]]
) -> List[Problem]:
    """Say each kind of trouble once, the decisive first, with the series that it cost.

    Args:
        instance: whose cycle it was.
        plan: its series.
        outcomes: what came of each query.
        worked: whether any was answered.
        doubts: what is strange about values, and the names of their series.
    """
    lost: Dict[Tuple[Result, bool], Tuple[QueryError, Dict[str, None]]] = {}
    for series in plan.series:
        for query in series.queries:
            outcome = outcomes[query]
            if isinstance(outcome, QueryError):
                # One line per cause: the refusal itself, not the queries held back because of it. A query that was not
                # sent in time has another cause than an answer that did not come in time.
                kind = outcome.result, outcome.is_consequence and outcome.result == Result.TIMED_OUT
                error, names = lost.get(kind, (outcome, {}))
                names[series.name] = None
                lost[kind] = (outcome if error.is_consequence and not outcome.is_consequence else error, names)
    level = "W" if worked else "E"
    where = instance.display_name
    first = decisive([error for error, _ in lost.values()], False)
    problems = [
        Problem(level, f"{where}: {error} (no values for {', '.join(names)})", where)
        for error, names in sorted(lost.values(), key=lambda one: (one[0].result != first, one[0].is_consequence))
    ]
    if plan.expired:
        text = (
            f"{where}: no values for {', '.join(plan.expired)}: the cloud keeps 30 days and the range lies before them"
        )
        problems.append(Problem("W", text, f"{where} ranges"))
    problems += [
        Problem("W", f"{where}: {text} ({', '.join(names)})", f"{where} values") for text, names in doubts.items()
    ]
    return problems
