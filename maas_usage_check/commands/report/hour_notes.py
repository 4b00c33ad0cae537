"""The sentences about a report from whole hours: unknown hours, and days that fit into no row."""

from __future__ import annotations

import datetime as dt
from typing import Iterator, Sequence

from ...config.ranges import HOUR
from .coverage import coverage_note, format_spans
from .line_adder import LineAdder
from .periods import Part, format_period
from .report_options import View
from .usage_report import Line

WHY_UNKNOWN = {
    "model": "Cloud Eye has the last 10 days, and the ledger has the collected hours (`models` and `hourly`)",
    "key": "hours can be queried for 29 days, and the ledger has the collected ones (`hourly`)",
}
WHY_UNKNOWN.update(service=WHY_UNKNOWN["key"], team=WHY_UNKNOWN["key"])


def hour_notes(
    view: View, whole: Line, lines: Sequence[Line], parts: Sequence[Part], adder: LineAdder, tz: dt.tzinfo
) -> Iterator[str]:
    """Yield the sentences about a report; `parts` are the times of its lines."""
    covered = coverage_note(whole, tz)
    if covered:
        yield covered
        why = WHY_UNKNOWN[view.by]
        yield f"{why[0].upper()}{why[1:]}; standard error names what failed."
    if whole.previous is not None:
        yield from _previous_notes(whole, whole.previous, tz)
    period = whole.period
    days = [day for day in adder.days if day.start < period.end and period.start < day.until]
    if view.size == "hour" and days:
        yield f"By day only: {format_spans([day[:2] for day in days], tz)} (hours are kept for 62 days); use --daily."
    outside = [day[:2] for day in days if day.start < period.start or period.end < day.until]
    if outside:
        yield f"Not counted: {format_spans(outside, tz)}: kept as whole days, which reach beyond the period."
    if view.size == "day":
        fitting = {day for part in parts for day in adder.within(part.start, part.end)}
        between = [day[:2] for day in days if day not in fitting and day[:2] not in outside]
        if between:
            yield f"Only in the total: {format_spans(between, tz)}: kept as days of another time zone, in no row."
    for each in adder.usage.parts:
        absent = [span[:2] for span in each.absent if period.start <= span.start and span.until <= period.end]
        if absent:
            text = f"{each.group.title}: not collected {format_spans(absent, tz)}"
            yield f"{text}; those calls count as {adder.usage.groups[-1].title}."
    exceeds = (line.total and line.usages[-1] is None and None not in line.usages[:-1] for line in (whole, *lines))
    if adder.usage.rest and any(exceeds):
        yield "The labels exceed all keys together: the cloud changed numbers between two answers; run it again."


def _previous_notes(whole: Line, previous: Line, tz: dt.tzinfo) -> Iterator[str]:
    hours = [each.period.length // HOUR for each in (whole, previous)]
    yield f"Before: {format_period(previous.period, tz)}; {hours[0]:,} hours are compared with {hours[1]:,}."
    missing = coverage_note(previous, tz)
    if missing:
        yield f"Before: {missing}"
    if missing or whole.period.is_incomplete:
        yield "No change in percent: it needs all hours of both periods, so that missing ones do not look like a fall."
