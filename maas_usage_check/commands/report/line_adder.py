"""Add up the known usage of groups in any period."""

from __future__ import annotations

from bisect import bisect_left
from typing import List, Optional, Sequence, Set

from ...cloud.usage import Usage
from ...config.prices import sum_costs
from ...config.ranges import HOUR, Window
from ...ledger.hour_values import subtract, usage_values
from ...ledger.known_usage import NO_USE, Span
from .coverage import find_gaps
from .group_usage import GroupedUsage, add_up
from .periods import Part
from .usage_report import Line, Period, sum_usages


class LineAdder:
    """Add up grouped usage in any period; `by_hour`: days whose hours are not kept are left out."""

    def __init__(self, usage: GroupedUsage, by_hour: bool) -> None:
        self.usage = usage
        every: Set[Span] = set().union(*usage.every)
        self.spans = sorted(span for span in every if not by_hour or span.until - span.start == HOUR)
        self.days = sorted(span for span in every if span.until - span.start > HOUR)
        self._starts = [span.start for span in self.spans]

    def within(self, start: int, end: int) -> List[Span]:
        """List the spans that lie within a period."""
        first, last = (bisect_left(self._starts, at) for at in (start, end))
        return [span for span in self.spans[first:last] if span.until <= end]

    def common(self, start: int, end: int) -> List[Span]:
        """List the spans of a period that are known of every series of which anything is known there."""
        fitting = self.within(start, end)
        known = [{span for span in fitting if span in spans} for spans in self.usage.every]
        return sorted(set.intersection(*filter(None, known))) if any(known) else []

    def line(self, part: Part, of: Optional[Window] = None) -> Line:
        """Add up the spans that are known of every group, so that groups compare. An unknown group is None.

        Args:
            part: of the period.
            of: the hours that were asked for, if they are more.
        """
        usage, common = self.usage, self.common(part.start, part.end)
        sums = [
            add_up(spans[span] for span in common) if common and common[0] in spans else None for spans in usage.every
        ]
        shown = [
            None if total is None or part_of.absent.issuperset(common) else total
            for total, part_of in zip(sums, usage.parts)
        ]
        asked = of or Window(part.start, part.end)
        covered = sum(span.hours for span in common) * HOUR
        period = Period(part.name, part.start, part.end, part.partial, asked.end - asked.start, covered)
        costs = [each.cost(common) if total else (None, 0) for each, total in zip(usage.parts, sums)]
        gaps = tuple(find_gaps(asked.start, asked.end, common))
        if usage.rest:
            return Line(period, (*shown, _rest(sums[-1], sums[:-1])), sums[-1], gaps=gaps)
        # Without the use of a priced model there is no total; use without a price is left out of it.
        priced = [
            cost
            for (cost, _), each, total in zip(costs, usage.parts, sums)
            if cost is not None or (each.is_priced and total is None)
        ]
        total_cost = None if None in priced or not priced else sum_costs(filter(None, priced))
        amounts, unpriced = zip(*costs) if costs else ((), ())
        return Line(period, tuple(shown), sum_usages(shown), tuple(amounts), total_cost, True, tuple(unpriced), gaps)


def _rest(whole: Optional[Usage], labels: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Subtract the labels from the whole; None if one is not known, or if they exceed it."""
    covered = sum_usages([NO_USE, *labels])
    if whole is None or covered is None:
        return None
    rest = subtract(usage_values(whole), usage_values(covered))
    return Usage(*rest) if min(rest) >= 0 else None
