"""What of a period is not known: never counted as zero, and named."""

from __future__ import annotations

import datetime as dt
from typing import Iterator, List, Sequence, Tuple

from ...config.ranges import HOUR
from ...ledger.known_usage import Span
from .periods import format_span
from .usage_report import Gap, Line

MAX_NAMED = 5
"""Gaps of a long list that a line names."""


def find_gaps(start: int, end: int, known: Sequence[Span]) -> Iterator[Gap]:
    """Yield the hours between two times that are not in the known spans."""
    at = start
    for span in sorted(known):
        if at < span.start:
            yield Gap(at, span.start, (span.start - at) // HOUR)
        missing = (span.until - span.start) // HOUR - span.hours
        if missing:
            yield Gap(span.start, span.until, missing)
        at = span.until
    if at < end:
        yield Gap(at, end, (end - at) // HOUR)


def format_covered(ratio: float) -> str:
    """Format the share of a period that is known; it is never rounded up to 100 %."""
    return f"{int(ratio * 1000) / 10:.1f} %"


def coverage_note(line: Line, tz: dt.tzinfo) -> str:
    """Write what of a line is not known; empty if all is known."""
    if not line.period.is_incomplete:
        return ""
    named = [_format_gap(gap, tz) for gap in line.gaps[:MAX_NAMED]]
    more = len(line.gaps) - len(named)
    times = ", ".join([*named, *([f"and {more} more"] if more else [])])
    return f"covered {format_covered(line.period.covered_ratio)}: {times} not known"


def format_spans(spans: Sequence[Tuple[int, int]], tz: dt.tzinfo) -> str:
    """Write times, those that adjoin as one."""
    joined: List[Tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and joined[-1][1] >= start:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    named = [format_span(*each, tz) for each in joined[:MAX_NAMED]]
    return ", ".join([*named, *([f"and {len(joined) - MAX_NAMED} more"] if len(joined) > MAX_NAMED else [])])


def _format_gap(gap: Gap, tz: dt.tzinfo) -> str:
    is_whole = gap.hours * HOUR == gap.end - gap.start
    return ("" if is_whole else f"{gap.hours} h of ") + format_span(gap.start, gap.end, tz)
