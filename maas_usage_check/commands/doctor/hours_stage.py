"""Whether hours add up to their day: 24 hours that are final, and their halves, asked as the ledger of hours asks."""

from __future__ import annotations

import datetime as dt
from typing import Any, List, Sequence

from ...cloud.statistics import Totals
from ...config import Instance
from ...config.ranges import DAY
from ...errors import QueryError
from ...ledger import difference, list_series, settled_until, usage_values
from .finding import FAIL, OK, WARN, Finding, mark_of


def questions(instance: Instance, now: int) -> List[Totals]:
    """Ask about the newest 24 hours that are final, about their first half and about their second."""
    until = settled_until(now)
    start, noon = until - DAY, until - DAY // 2
    series = list_series(instance)[0]
    return [series.query(*each) for each in ((start, until), (start, noon), (noon, until))]


def verdict(asked: Sequence[Totals], answers: Sequence[Any]) -> Finding:
    """Say whether the halves add up to the whole; each answer may be a QueryError instead."""
    for answer in answers:
        if isinstance(answer, QueryError):
            return Finding(mark_of(answer), "hours", str(answer))
    whole, *halves = (usage_values(answer.usage) for answer in answers)
    # The window ends a millisecond before its last hour does.
    until = dt.datetime.fromtimestamp((asked[0].window.end + 1) / 1000, dt.timezone.utc)
    day = f"the 24 hours up to {until:%Y-%m-%d %H:%M} UTC"
    wrong = difference(whole, halves)
    if wrong:
        return Finding(
            FAIL,
            "hours",
            f"{day} have {wrong.whole:,} {wrong.name}, but their halves {wrong.parts:,}: hours would not add up to "
            "their day; leave `hourly` off, and report it",
        )
    if not any(whole):
        return Finding(WARN, "hours", f"nothing was used in {day}, so that nothing can be added up")
    return Finding(OK, "hours", f"{day} and their halves add up: {whole[0]:,} tokens, {whole[3]:,} calls")
