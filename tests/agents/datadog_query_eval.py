"""Evaluate Datadog queries over samples: the part of the query language that the assets use."""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
import operator
import re
from statistics import mean
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .grafana_dashboards import SHANGHAI, midnight

Group = Tuple[str, ...]
QUERY = re.compile(
    r"(max|min|sum|avg):([\w.]+){([^}]*)}(?: by {([^}]*)})?(?:\.as_count\(\))?(?:\.rollup\((?:sum|max), ([^)]+)\))?"
)
DAILY = "daily, 12am, 'Asia/Shanghai'"
STEP = 300
"""Default step, seconds."""
AGGREGATORS: Dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "avg": mean,
    "last": operator.itemgetter(-1),
}


class Sample(NamedTuple):
    """A value that the Agent submitted at a time in seconds; of a count, the sum of a flush."""

    at: float
    metric: str
    tags: Dict[str, str]
    value: float


class Lines:
    """Values by group and time; with `zero`, a missing value is 0."""

    def __init__(self, values: Dict[Group, Dict[float, float]], zero: bool = False) -> None:
        self.values = values
        self.zero = zero

    def aggregate(self, how: str, now: float, since: float = 0.0) -> Lines:
        """Aggregate each line after `since` into one value at `now`."""
        recent = {group: [line[at] for at in sorted(line) if since < at <= now] for group, line in self.values.items()}
        return Lines({group: {now: AGGREGATORS[how](values)} for group, values in recent.items() if values})

    def filter(self, fits: Callable[[float], bool]) -> Lines:
        return Lines(
            {group: {at: value for at, value in line.items() if fits(value)} for group, line in self.values.items()}
        )

    def map(self, function: Callable[[float], float]) -> Lines:
        return Lines(
            {group: {at: function(value) for at, value in line.items()} for group, line in self.values.items()}
        )

    def accumulate(self) -> Lines:
        return Lines(
            {
                group: dict(zip(sorted(line), itertools.accumulate(line[at] for at in sorted(line))))
                for group, line in self.values.items()
            }
        )

    def a_month_later(self) -> Lines:
        """Move each value to the same day and time of the next month."""
        return Lines(
            {group: {_next_month(at): value for at, value in line.items()} for group, line in self.values.items()}
        )

    def _value(self, group: Group, at: float) -> Optional[float]:
        return self.values.get(group, {}).get(at, 0.0 if self.zero else None)

    def _combine(self, other: Any, operation: Callable[[float, float], float]) -> Lines:
        if not isinstance(other, Lines):
            other = Lines({group: dict.fromkeys(line, float(other)) for group, line in self.values.items()})
        both: Dict[Group, Dict[float, float]] = {}
        for group in {**self.values, **other.values}:
            for at in {**self.values.get(group, {}), **other.values.get(group, {})}:
                one, two = self._value(group, at), other._value(group, at)
                if one is not None and two is not None and (two or operation is not operator.truediv):
                    both.setdefault(group, {})[at] = operation(one, two)
        return Lines(both, self.zero and other.zero)

    def __add__(self, other: Any) -> Lines:
        return self._combine(other, operator.add)

    def __sub__(self, other: Any) -> Lines:
        return self._combine(other, operator.sub)

    def __rmul__(self, other: Any) -> Lines:
        return self._combine(other, operator.mul)

    def __truediv__(self, other: Any) -> Lines:
        return self._combine(other, operator.truediv)


FUNCTIONS: Dict[str, Callable[..., Lines]] = {
    "default_zero": lambda lines: Lines(lines.values, zero=True),
    "cutoff_min": lambda lines, least: lines.filter(lambda value: value >= least),
    "cutoff_max": lambda lines, most: lines.filter(lambda value: value <= most),
    "abs": lambda lines: lines.map(abs),
    "cumsum": lambda lines: lines.accumulate(),
    "calendar_shift": lambda lines, period, zone: lines.a_month_later(),
    "timeshift": lambda lines, seconds: Lines(
        {group: {at - seconds: value for at, value in line.items()} for group, line in lines.values.items()}
    ),
}


def evaluate_formula(formula: str, named: Mapping[str, Lines]) -> Lines:
    """Evaluate a formula over named queries."""
    found = eval(formula, {**FUNCTIONS, **named})
    assert isinstance(found, Lines)
    return found


def evaluate_query(text: str, samples: Sequence[Sample], chosen: Mapping[str, str]) -> Lines:
    """Evaluate one query. A template variable filters by its chosen value; without one, by nothing."""
    how, metric, scope, by, rollup = QUERY.fullmatch(text).groups()  # type: ignore[union-attr]
    filters = [chosen.get(part, "*") if part[0] == "$" else part for part in scope.split(",")]
    wanted = {tuple(part.split(":", 1)) for part in filters if part != "*"}
    found: Dict[Group, Dict[float, List[float]]] = {}
    for at, name, tags, value in samples:
        if name == metric and wanted <= tags.items():
            group = tuple(tags.get(tag, "") for tag in by.split(",")) if by else ()
            found.setdefault(group, {}).setdefault(_step(at, rollup), []).append(value)
    return Lines(
        {group: {at: float(AGGREGATORS[how](values)) for at, values in line.items()} for group, line in found.items()}
    )


def _next_month(at: float) -> float:
    then = dt.datetime.fromtimestamp(at, SHANGHAI)
    year, month = then.year + then.month // 12, then.month % 12 + 1
    return then.replace(year=year, month=month, day=min(then.day, calendar.monthrange(year, month)[1])).timestamp()


def _step(at: float, rollup: Optional[str]) -> float:
    """Return when the step of a time began."""
    if rollup == DAILY:
        return midnight(int(at * 1000)) // 1000
    length = int(rollup or STEP)
    return at // length * length
