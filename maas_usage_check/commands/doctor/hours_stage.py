"""The stage `hours`: 24 final hours and their halves, queried as the ledger of hours does, must add up."""

from __future__ import annotations

import datetime as dt
from typing import Any, List, Sequence

from ...cloud import Statistics
from ...cloud.statistics import TotalsQuery
from ...config import Instance
from ...config.ranges import DAY
from ...errors import QueryError
from ...ledger.daily_check import difference
from ...ledger.hour_values import floor_hour, usage_values
from .finding import FAIL, OK, WARN, Finding, mark_error


def plan_queries(instance: Instance, now_ms: int) -> List[TotalsQuery]:
    """Plan queries for the newest 24 final hours, their first half and their second half."""
    source = Statistics()
    series = source.hour_series(instance, "")[0]
    end = floor_hour(now_ms - series.settled_after_ms)
    start, middle = end - DAY, end - DAY // 2
    return [source.hours_query(series, *each) for each in ((start, end), (start, middle), (middle, end))]


def compare_halves(queries: Sequence[TotalsQuery], answers: Sequence[Any]) -> Finding:
    """Check that the halves add up to the 24 hours; an answer may be a QueryError."""
    for answer in answers:
        if isinstance(answer, QueryError):
            return Finding(mark_error(answer), "hours", str(answer))
    whole, *halves = (usage_values(answer.usage) for answer in answers)
    # A window ends a millisecond before its last hour does.
    end = dt.datetime.fromtimestamp((queries[0].window.end + 1) / 1000, dt.timezone.utc)
    day = f"the 24 hours up to {end:%Y-%m-%d %H:%M} UTC"
    wrong = difference(whole, halves)
    if wrong:
        return Finding(
            FAIL,
            "hours",
            f"{day} have {wrong.whole:,} {wrong.name}, but their halves {wrong.parts:,}: hours would not add up to "
            "their day; leave `hourly` off, and report it",
        )
    if not any(whole):
        return Finding(WARN, "hours", f"no usage in {day}: nothing to add up")
    return Finding(OK, "hours", f"{day} and their halves add up: {whole[0]:,} tokens, {whole[3]:,} calls")
