"""The plans of all sources put together, and the points of what was answered."""

from __future__ import annotations

import itertools
from typing import Dict, List, Sequence, Tuple

from ..cloud import Outcome, Plan, Query
from ..errors import QueryError
from ..metrics import Point


def merge_plans(plans: Sequence[Plan]) -> Plan:
    """Put the plans of all sources together."""
    parts = ((getattr(plan, name) for plan in plans) for name in Plan.__struct_fields__)
    return Plan(*(tuple(itertools.chain.from_iterable(part)) for part in parts))


def build_points(
    plan: Plan, outcomes: Dict[Query, Outcome], tags: Dict[str, str], time: int
) -> Tuple[List[Point], Dict[str, List[str]]]:
    """Make a point of each series all of whose queries were answered, and name those whose values are strange."""
    points: List[Point] = []
    doubts: Dict[str, List[str]] = {}
    for series in plan.series:
        answers = [outcomes[query] for query in series.queries]
        if not any(isinstance(answer, QueryError) for answer in answers):
            fields = series.fields(answers)
            points.append(Point(series.measurement, {**series.tags, **tags}, fields, time))
            if series.warning(fields):
                doubts.setdefault(series.warning(fields), []).append(series.name)
    return points, doubts
