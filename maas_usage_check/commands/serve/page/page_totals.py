"""The use and cost of today, of the running month, and of the same days of the last one."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from msgspec.structs import replace

from ....config import Instance
from ....config.prices import sum_costs
from ....config.ranges import HOUR, Calendar, Window
from ....ledger.budgets import DUE_AFTER, Member
from ....ledger.hour_values import floor_hour, usage_values
from ....ledger.period_sums import period_sum
from ...report.asked_period import ask_period
from ...report.group_usage import add_up
from ...report.usage_report import Line, Period
from .content import Total


class Totals(NamedTuple):
    """Totals up to now, and that of the month to compare: both its periods end when their last hours are final."""

    today: Total
    month: Total
    comparison: Total


def read_totals(instance: Instance, totals: Sequence[Member], models: Sequence[Member], now_ms: int) -> Totals:
    """Add up the hours of the service types, and of the models for their cost."""

    def total(windows: Sequence[Window]) -> Total:
        usage = _line(totals, windows, now_ms)
        priced = [each for each in models if each.series.prices]
        return Total(usage, _line(priced, windows, now_ms) if instance.prices else None)

    def until_now(name: str) -> Total:
        return total([ask_period(replace(instance, ranges=(Calendar(name),)), False, now_ms).hours])

    compared = ask_period(replace(instance, ranges=(Calendar("this_month"),)), False, now_ms, compares=True)
    windows = [compared.hours, *([compared.previous] if compared.previous else [])]
    return Totals(until_now("today"), until_now("this_month"), total(windows))


def _line(members: Sequence[Member], windows: Sequence[Window], now_ms: int) -> Line:
    """Return the line of a window; the others are the periods before it.

    An hour is due 3 hours after its end. A newer one without use is not known yet, and none of them is missing.
    """
    window, *before = windows
    due_until = max(window.start, min(window.end, floor_hour(now_ms - DUE_AFTER)))
    due = period_sum(members, Window(window.start, due_until))
    newer = period_sum(members, Window(due_until, window.end))
    usages = [due.usage, newer.usage if newer.usage and any(usage_values(newer.usage)) else None]
    known = [each for each in usages if each]
    cost = sum_costs([due.cost.total, newer.cost.total]) if known else None
    period = Period("", window.start, window.end, True, due_until - window.start, due.hours * HOUR)
    usage = add_up(known) if known else None
    line = Line(period, (), usage, total_cost=cost, is_cost_complete=not period.is_incomplete)
    return replace(line, previous=_line(members, before, now_ms)) if before else line
