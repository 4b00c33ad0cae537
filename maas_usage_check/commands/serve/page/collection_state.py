"""Whether the numbers of a page can be believed, from the newest batch."""

from __future__ import annotations

from typing import Optional, Sequence

from ....errors import Problem, Result
from ....metrics import API, Point
from .content import CollectionState


def collection_state(points: Sequence[Point], problems: Sequence[Problem], is_overdue: bool) -> CollectionState:
    """Describe the collection of one instance.

    Args:
        points: of its newest batch; none before the first cycle.
        problems: of the same.
        is_overdue: the next cycle has not ended in time.
    """
    health = next((point for point in points if point.measurement == API), None)
    if health is None:
        return CollectionState("overdue" if is_overdue else "starting", problems=problems)
    fields, status = health.fields, "ok"
    if is_overdue:
        status = "overdue"
    elif not fields["up"]:
        status = "failed"
    elif fields["result_code"] != Result.OK:
        status = "partial"
    newest, missing = fields.get("newest_usage_timestamp_seconds"), fields.get("missing_hours")
    newest_ms: Optional[int] = None if newest is None else int(newest * 1000)
    return CollectionState(
        status, health.time // 1_000_000, newest_ms, None if missing is None else int(missing), problems
    )
