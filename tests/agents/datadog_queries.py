"""Work out what Datadog would show: as much of its query language as the assets use, over cycles of real points."""

from __future__ import annotations

import operator
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from maas_usage_check.metrics.datadog import metric_name

Group = Tuple[str, ...]
Value = Optional[float]
QUERY = re.compile(r"(max|min|sum):([\w.]+){([^}]*)} by {([^}]*)}")


class Cycle(NamedTuple):
    """What one cycle submitted, and when, in seconds."""

    at: float
    points: List[Dict[str, Any]]


class Lines:
    """Values over the cycles by group; None where nothing came."""

    def __init__(self, times: List[float], values: Dict[Group, List[Value]], zero: bool = False) -> None:
        self.times = times
        self.values = values
        self.zero = zero  # what a group that it does not know is

    def of(self, group: Group) -> List[Value]:
        return self.values.get(group) or [0.0 if self.zero else None] * len(self.times)

    def _with(self, other: Any, work: Callable[[float, float], float]) -> Lines:
        if not isinstance(other, Lines):
            other = Lines(self.times, {group: [float(other)] * len(self.times) for group in self.values})
        both = {
            group: [
                None if one is None or two is None or (work is operator.truediv and not two) else work(one, two)
                for one, two in zip(self.of(group), other.of(group))
            ]
            for group in {**self.values, **other.values}
        }
        return Lines(self.times, both)

    def __add__(self, other: Any) -> Lines:
        return Lines(self.times, self._with(other, operator.add).values, self.zero and other.zero)

    def __sub__(self, other: Any) -> Lines:
        return self._with(other, operator.sub)

    def __rmul__(self, other: Any) -> Lines:
        return self._with(other, operator.mul)

    def __truediv__(self, other: Any) -> Lines:
        return self._with(other, operator.truediv)


def default_zero(lines: Lines) -> Lines:
    return Lines(lines.times, {group: [value or 0.0 for value in line] for group, line in lines.values.items()}, True)


def reduced(how: Callable[[List[float]], float], values: List[Value]) -> Value:
    known = [value for value in values if value is not None]
    return how(known) if known else None


def ask(text: str, cycles: List[Cycle]) -> Lines:
    """Answer one query."""
    how, metric, scope, by = QUERY.fullmatch(text).groups()  # type: ignore[union-attr]
    wanted = [tuple(part.split(":", 1)) for part in scope.split(",") if part != "*"]
    values: Dict[Group, List[Value]] = {}
    for number, (_, points) in enumerate(cycles):
        for point in points:
            fields = {metric_name(point["measurement"], field): value for field, value in point["fields"].items()}
            tags = point["tags"]
            if metric in fields and all(tags.get(key) == value for key, value in wanted):
                line = values.setdefault(tuple(tags.get(tag, "") for tag in by.split(",")), [None] * len(cycles))
                both = [value for value in (line[number], fields[metric]) if value is not None]
                line[number] = float({"max": max, "min": min, "sum": sum}[how](both))
    return Lines([at for at, _ in cycles], values)
