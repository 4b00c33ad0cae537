"""Work out what Datadog would show: as much of its query language as the assets use, over samples."""

from __future__ import annotations

import operator
import re
from statistics import mean
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .dashboards import midnight

Group = Tuple[str, ...]
QUERY = re.compile(
    r"(max|min|sum|avg):([\w.]+){([^}]*)}(?: by {([^}]*)})?(?:\.as_count\(\))?(?:\.rollup\(sum, ([^)]+)\))?"
)
DAILY = "daily, 12am, 'Asia/Shanghai'"
STEP = 300
"""Seconds of a step where the query names none."""
HOW: Dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "avg": mean,
    "last": operator.itemgetter(-1),
}


class Sample(NamedTuple):
    """Hold what the Agent submitted, and when, in seconds; of a count all that came in a flush."""

    at: float
    metric: str
    tags: Dict[str, str]
    value: float


class Lines:
    """Values by group and time; with `zero`, 0 where nothing came."""

    def __init__(self, values: Dict[Group, Dict[float, float]], zero: bool = False) -> None:
        self.values = values
        self.zero = zero

    def reduced(self, how: str, now: float, since: float = 0.0) -> Lines:
        """Make one number, as of now, of each line since a time."""
        recent = {group: [line[at] for at in sorted(line) if since < at <= now] for group, line in self.values.items()}
        return Lines({group: {now: HOW[how](values)} for group, values in recent.items() if values})

    def where(self, fits: Callable[[float], bool]) -> Lines:
        return Lines(
            {group: {at: value for at, value in line.items() if fits(value)} for group, line in self.values.items()}
        )

    def _of(self, group: Group, at: float) -> Optional[float]:
        return self.values.get(group, {}).get(at, 0.0 if self.zero else None)

    def _with(self, other: Any, work: Callable[[float, float], float]) -> Lines:
        if not isinstance(other, Lines):
            other = Lines({group: dict.fromkeys(line, float(other)) for group, line in self.values.items()})
        both: Dict[Group, Dict[float, float]] = {}
        for group in {**self.values, **other.values}:
            for at in {**self.values.get(group, {}), **other.values.get(group, {})}:
                one, two = self._of(group, at), other._of(group, at)
                if one is not None and two is not None and (two or work is not operator.truediv):
                    both.setdefault(group, {})[at] = work(one, two)
        return Lines(both, self.zero and other.zero)

    def __add__(self, other: Any) -> Lines:
        return self._with(other, operator.add)

    def __sub__(self, other: Any) -> Lines:
        return self._with(other, operator.sub)

    def __rmul__(self, other: Any) -> Lines:
        return self._with(other, operator.mul)

    def __truediv__(self, other: Any) -> Lines:
        return self._with(other, operator.truediv)


FUNCTIONS: Dict[str, Callable[..., Lines]] = {
    "default_zero": lambda lines: Lines(lines.values, zero=True),
    "cutoff_min": lambda lines, least: lines.where(lambda value: value >= least),
    "cutoff_max": lambda lines, most: lines.where(lambda value: value <= most),
    "timeshift": lambda lines, seconds: Lines(
        {group: {at - seconds: value for at, value in line.items()} for group, line in lines.values.items()}
    ),
}


def work_out(formula: str, named: Mapping[str, Lines]) -> Lines:
    """Work a formula out over queries that it names."""
    found = eval(formula, {**FUNCTIONS, **named})
    assert isinstance(found, Lines)
    return found


def ask(text: str, samples: Sequence[Sample], chosen: Mapping[str, str]) -> Lines:
    """Answer one query. A template variable filters by what was chosen, or not at all."""
    how, metric, scope, by, rollup = QUERY.fullmatch(text).groups()  # type: ignore[union-attr]
    filters = [chosen.get(part, "*") if part[0] == "$" else part for part in scope.split(",")]
    wanted = {tuple(part.split(":", 1)) for part in filters if part != "*"}
    found: Dict[Group, Dict[float, List[float]]] = {}
    for at, name, tags, value in samples:
        if name == metric and wanted <= tags.items():
            group = tuple(tags.get(tag, "") for tag in by.split(",")) if by else ()
            found.setdefault(group, {}).setdefault(_step(at, rollup), []).append(value)
    return Lines({group: {at: float(HOW[how](values)) for at, values in line.items()} for group, line in found.items()})


def _step(at: float, rollup: Optional[str]) -> float:
    """Say when the step of a time began."""
    if rollup == DAILY:
        return midnight(int(at * 1000)) // 1000
    length = int(rollup or STEP)
    return at // length * length
