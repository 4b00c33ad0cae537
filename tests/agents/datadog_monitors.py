"""Work out what a Datadog monitor compares with its limit, by group, over cycles of points."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List

from .datadog_queries import QUERY, Cycle, Group, Lines, Value, ask, default_zero, reduced
from .test_datadog_assets import ASSETS, read

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
FORM = re.compile(r"(max|min|avg|sum)\((?:last_(\d+)([mhdw])|current_1mo)\):(.*) ([<>]) ([\d.]+)")


def query(name: str) -> str:
    text: str = read(ASSETS / "datadog" / "monitors" / f"{name}.json")["definition"]["query"]
    return text


def alerts(name: str, cycles: List[Cycle]) -> List[Group]:
    """List the groups in which a monitor that is evaluated after the last cycle alerts."""
    sign, limit = FORM.fullmatch(query(name)).groups()[-2:]  # type: ignore[union-attr]
    found = {group: value for group, value in monitor(query(name), cycles).items() if value is not None}
    return [group for group, value in found.items() if (value > float(limit) if sign == ">" else value < float(limit))]


def monitor(text: str, cycles: List[Cycle], month: float = 0.0) -> Dict[Group, Value]:
    """Read what a monitor compares with its limit after the last cycle; the month began at `month`."""
    how, number, unit, rest, _, _ = FORM.fullmatch(text).groups()  # type: ignore[union-attr]
    now = cycles[-1].at
    since = now - int(number) * UNITS[unit] if unit else month
    recent = [one for one in cycles if one.at > since or one is cycles[-1]]
    of_counts = ".as_count()" in rest
    named: Dict[str, Lines] = {}

    def name(found: re.Match[str]) -> str:
        lines = _Asked(found[0], recent, cycles)
        # With as_count() each query is summed over the time before the formula sees it.
        named[f"q{len(named)}"] = _reduced(sum, lines) if of_counts else lines
        return f"q{len(named) - 1}"

    assert not of_counts or how == "sum"
    formula = re.sub(r"\.as_count\(\)", "", QUERY.sub(name, rest))
    lines = eval(formula, {**FUNCTIONS, **named})
    means: Dict[str, Callable[[List[float]], float]] = {"max": max, "min": min, "sum": sum, "avg": _mean}
    return {group: reduced(means[how], line) for group, line in lines.values.items()}


class _Asked(Lines):
    """What a query found, which can be asked again of another time."""

    def __init__(self, text: str, recent: List[Cycle], cycles: List[Cycle]) -> None:
        super().__init__([one.at for one in recent], ask(text, recent).values)
        self._text = text
        self._cycles = {one.at: one for one in cycles}

    def before(self, seconds: float) -> Lines:
        earlier = [self._cycles.get(at - seconds, Cycle(at, [])) for at in self.times]
        return Lines(self.times, ask(self._text, earlier).values)


def _reduced(how: Callable[[List[float]], float], lines: Lines) -> Lines:
    return Lines(lines.times[-1:], {group: [reduced(how, line)] for group, line in lines.values.items()})


def _mean(values: List[float]) -> float:
    return sum(values) / len(values)


def _only(lines: Lines, fits: Callable[[float], bool]) -> Lines:
    kept = {
        group: [value if value is not None and fits(value) else None for value in line]
        for group, line in lines.values.items()
    }
    return Lines(lines.times, kept)


FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "default_zero": default_zero,
    "cutoff_min": lambda lines, least: _only(lines, lambda value: value >= least),
    "cutoff_max": lambda lines, most: _only(lines, lambda value: value <= most),
    "timeshift": lambda asked, seconds: asked.before(-seconds),
}
