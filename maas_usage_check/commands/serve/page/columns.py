"""The columns of the bar chart: prompt, completion and other tokens of each day, or of each hour of a day or two."""

from __future__ import annotations

import math
from typing import FrozenSet, Iterator, NamedTuple, Optional, Sequence, Tuple

from ....cloud.usage import Usage
from ...report.periods import local_time
from .content import PageContent
from .formats import Formats
from .missing_hours import due_until, missing_hours

MAX_HOURLY_DAYS = 2
"""So few days are drawn by hours."""
WIDEST = 8.0
"""Percent of the chart."""
FEW = 10
"""So many columns have room for a weekday."""
MISSING, AWAITED = "hatched", "dotted"
"""Classes of what is not known."""
KINDS = ("prompt", "completion", "other")


class Box(NamedTuple):
    """A rectangle in percent of the chart; `kind` is its class."""

    kind: str
    y: str
    height: str


class Column(NamedTuple):
    """One day or hour, and what a pointer shows.

    Attributes:
        left: in percent of the chart.
        gap: the class of what is not known: missing, or not reported yet; empty if all is known.
        top: of the known part.
        is_rare: a narrow screen leaves out its label.
    """

    weekday: str
    label: str
    name: str
    usage: Optional[Usage]
    other: int
    left: str
    boxes: Tuple[Box, ...]
    gap: str
    top: str
    is_rare: bool


class Chart(NamedTuple):
    """The columns, and the lines of the scale as (y in percent, tokens)."""

    by_hour: bool
    columns: Tuple[Column, ...]
    width: str
    scale: Tuple[Tuple[str, int], ...]

    @property
    def gaps(self) -> FrozenSet[str]:
        """Return the classes of what is not known."""
        return frozenset(each.gap for each in self.columns if each.gap)


class _Value(NamedTuple):
    weekday: str
    label: str
    name: str
    usage: Optional[Usage]
    gap: str


def draw_columns(content: PageContent, formats: Formats) -> Chart:
    """Lay out the bar chart of the period."""
    by_hour = len(content.period.lines) <= MAX_HOURLY_DAYS
    values = list(_hours(content, formats) if by_hour else _days(content, formats))
    largest = max((each.usage.total_tokens for each in values if each.usage), default=0)
    ticks = scale_of(largest)
    limit = ticks[-1] or 1
    slot = 100 / max(1, len(values))
    width = min(slot * 0.72, WIDEST)
    every = math.ceil(len(values) / FEW)
    columns = tuple(
        Column(
            each.weekday,
            each.label,
            each.name,
            each.usage,
            other_tokens(each.usage) if each.usage else 0,
            percent(index * slot + (slot - width) / 2),
            tuple(_boxes(each.usage, limit)),
            each.gap,
            percent(100 - 100 * each.usage.total_tokens / limit) if each.usage else "0%",
            index % every != 0,
        )
        for index, each in enumerate(values)
    )
    scale = tuple((percent(100 - 100 * tick / limit), tick) for tick in ticks)
    return Chart(by_hour, columns, percent(width), scale)


def other_tokens(usage: Usage) -> int:
    """Return the tokens that are neither prompt nor completion; the cloud counts them in the total."""
    return max(0, usage.total_tokens - usage.prompt_tokens - usage.completion_tokens)


def percent(value: float) -> str:
    """Write a coordinate."""
    return f"{value:.1f}%".replace(".0%", "%")


def scale_of(largest: int) -> Sequence[int]:
    """Return up to five round numbers from 0 to at least the largest; 0 alone without use."""
    rough = max(largest, 4) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(int(power * each) for each in (1, 2, 2.5, 5, 10) if power * each >= rough and power * each % 1 == 0)
    return range(0, -(-largest // step) * step + 1, step)


def _boxes(usage: Optional[Usage], limit: int) -> Iterator[Box]:
    below = 0
    parts = (usage.prompt_tokens, usage.completion_tokens, other_tokens(usage)) if usage else ()
    for kind, tokens in zip(KINDS, parts):
        below += tokens
        if tokens:
            yield Box(kind, percent(100 - 100 * below / limit), percent(100 * tokens / limit))


def _days(content: PageContent, formats: Formats) -> Iterator[_Value]:
    is_few = len(content.period.lines) <= FEW
    for line in content.period.lines:
        start = line.period.start
        weekday = formats.weekday(start) if is_few else ""
        is_missing = missing_hours(line, content.now_ms) > 0
        gap = MISSING if is_missing else AWAITED if line.period.is_incomplete else ""
        yield _Value(weekday, str(local_time(start, content.tz).day), formats.day(start), line.total, gap)


def _hours(content: PageContent, formats: Formats) -> Iterator[_Value]:
    due = due_until(content.now_ms)
    for at, usage in content.hours:
        gap = "" if usage else AWAITED if at >= due else MISSING
        name = f"{formats.date(at)} {formats.clock(at)}"
        yield _Value("", f"{local_time(at, content.tz).hour:02}", name, usage, gap)
