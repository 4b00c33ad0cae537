"""The columns of the bar chart: prompt, completion and other tokens of each day, or of each hour of a day or two."""

from __future__ import annotations

import math
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple

from ....cloud.usage import Usage
from ...report.periods import local_time
from .content import PageContent
from .formats import WEEKDAYS, Formats

MAX_HOURLY_DAYS = 2
"""So few days are drawn by hours."""
WIDEST = 8.0
"""Percent of the chart."""
FEW = 10
"""So many columns have room for a weekday."""
KINDS = ("prompt", "completion", "other")


class Box(NamedTuple):
    """A rectangle in percent of the chart; `kind` is its class."""

    kind: str
    y: str
    height: str


class Column(NamedTuple):
    """One day or hour: its boxes, and what a pointer shows. `top`: where an incomplete one is cut, else empty."""

    label: str
    name: str
    usage: Optional[Usage]
    other: int
    left: str
    middle: str
    boxes: Tuple[Box, ...]
    top: str
    is_rare: bool


class Chart(NamedTuple):
    """The columns, and the lines of the scale as (y in percent, tokens)."""

    by_hour: bool
    columns: Tuple[Column, ...]
    width: str
    slot: str
    scale: Tuple[Tuple[str, int], ...]


class _Value(NamedTuple):
    label: str
    name: str
    usage: Optional[Usage]
    is_incomplete: bool


def draw_columns(content: PageContent, formats: Formats) -> Chart:
    """Lay out the bar chart of the period."""
    by_hour = len(content.period.lines) <= MAX_HOURLY_DAYS
    values = list(_hours(content, formats) if by_hour else _days(content, formats))
    largest = max((each.usage.total_tokens for each in values if each.usage), default=0)
    ticks = scale_of(largest)
    slot = 100 / max(1, len(values))
    width = min(slot * 0.72, WIDEST)
    every = math.ceil(len(values) / FEW)
    columns = tuple(
        Column(
            each.label,
            each.name,
            each.usage,
            other_tokens(each.usage) if each.usage else 0,
            percent(index * slot + (slot - width) / 2),
            percent((index + 0.5) * slot),
            tuple(_boxes(each.usage, ticks[-1])),
            _top(each, ticks[-1]),
            index % every != 0,
        )
        for index, each in enumerate(values)
    )
    scale = tuple((percent(100 - 100 * tick / ticks[-1]), tick) for tick in ticks)
    return Chart(by_hour, columns, percent(width), percent(slot), scale)


def other_tokens(usage: Usage) -> int:
    """Return the tokens that are neither prompt nor completion; the cloud counts them in the total."""
    return max(0, usage.total_tokens - usage.prompt_tokens - usage.completion_tokens)


def percent(value: float) -> str:
    """Write a coordinate."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"


def scale_of(largest: int) -> Sequence[int]:
    """Return up to five round numbers from 0 to at least the largest."""
    rough = max(largest, 4) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(int(power * each) for each in (1, 2, 2.5, 5, 10) if power * each >= rough and power * each % 1 == 0)
    return range(0, largest + step if largest % step or not largest else largest + 1, step)


def _boxes(usage: Optional[Usage], limit: int) -> Iterator[Box]:
    below = 0
    parts = (usage.prompt_tokens, usage.completion_tokens, other_tokens(usage)) if usage else ()
    for kind, tokens in zip(KINDS, parts):
        below += tokens
        if tokens:
            yield Box(kind, percent(100 - 100 * below / limit), percent(100 * tokens / limit))


def _top(value: _Value, limit: int) -> str:
    if value.usage is None or not value.is_incomplete:
        return ""
    return percent(100 - 100 * value.usage.total_tokens / limit)


def _days(content: PageContent, formats: Formats) -> Iterator[_Value]:
    is_few = len(content.period.lines) <= FEW
    for line in content.period.lines:
        local = local_time(line.period.start, content.tz)
        weekday = f"{WEEKDAYS[formats.language][local.weekday()]} " if is_few else ""
        label = f"{weekday}{local.day}"
        yield _Value(label, formats.day(line.period.start), line.total, line.period.is_incomplete)


def _hours(content: PageContent, formats: Formats) -> Iterator[_Value]:
    for at, usage in content.hours:
        yield _Value(f"{local_time(at, content.tz).hour:02}", f"{formats.date(at)} {formats.clock(at)}", usage, False)
