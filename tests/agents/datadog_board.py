"""Work out what Datadog would show of a widget: as much of its query language as the dashboard uses, over samples."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from .dashboards import midnight, month_began
from .datadog_queries import Group, Lines, Value, default_zero, reduced

QUERY = re.compile(
    r"(?P<how>max|min|sum):(?P<metric>[\w.]+){(?P<scope>[^}]*)}( by {(?P<by>[^}]*)})?"
    r"(?P<counts>\.as_count\(\))?(\.rollup\(sum, (?P<rollup>[^)]+)\))?"
)
STEP = 300
"""Seconds of a step where the query names none."""
SPANS = {"15m": 900, "1h": 3600, "1w": 604_800}
HOW = {"max": max, "min": min, "sum": sum}
DAILY = "daily, 12am, 'Asia/Shanghai'"


class Sample(NamedTuple):
    """Hold what the Agent submitted, and when, in seconds; of a count all that came in a flush."""

    at: int
    metric: str
    tags: Dict[str, str]
    value: float


class Board:
    """Answer requests of widgets as of a moment, over a picked span, both in seconds."""

    def __init__(self, samples: List[Sample], now: int, span: int, chosen: Dict[str, str]) -> None:
        self.samples, self.now, self.span, self.chosen = samples, now, span, chosen

    def shown(self, widget: Dict[str, Any], request: Dict[str, Any]) -> Dict[Any, float]:
        """Return values by group; over time by group and time."""
        start = self._start(widget.get("time", {}).get("live_span", ""))
        asked = {query["name"]: query for query in request["queries"]}
        steps = {name: self._step(query["query"]) for name, query in asked.items()}
        (step,) = set(steps.values())
        formula = request["formulas"][0]["formula"]
        if request["response_format"] == "scalar":  # each query is one number before the formula sees it
            named = {name: self._single(query, step, start) for name, query in asked.items()}
            lines = _worked_out(formula, named)
            return {group: line[0] for group, line in lines.values.items() if line[0] is not None}
        named = {name: self._ask(query["query"], step, self._shifted(formula, start)) for name, query in asked.items()}
        lines = _worked_out(formula, named)
        return {
            (group, at): value
            for group, line in lines.values.items()
            for at, value in zip(lines.times, line)
            if value is not None
        }

    def _start(self, span: str) -> int:
        if span == "month_to_date":
            return month_began(self.now * 1000) // 1000
        return self.now - (SPANS[span] if span else self.span)

    @staticmethod
    def _shifted(formula: str, start: int) -> int:
        """Say from when on data are needed."""
        return start - sum(map(int, re.findall(r"timeshift\(\w+, -(\d+)\)", formula)))

    @staticmethod
    def _step(query: str) -> str:
        return str(_parsed(query)["rollup"] or STEP)

    def _single(self, query: Dict[str, Any], step: str, start: int) -> Lines:
        lines = self._ask(query["query"], step, start)
        how = {"max": max, "sum": sum, "last": lambda known: known[-1]}[query["aggregator"]]
        single = {group: [reduced(how, line)] for group, line in lines.values.items()}
        return Lines([self.now], single)

    def _ask(self, text: str, step: str, start: int) -> Lines:
        """Answer one query. A template variable filters by what was chosen, or not at all."""
        parsed = _parsed(text)
        assert parsed["counts"] is None or parsed["how"] == "sum"
        filters = [self.chosen.get(part, "") if part[0] == "$" else part for part in parsed["scope"].split(",")]
        wanted = [part.split(":", 1) for part in filters if part]
        by = parsed["by"].split(",") if parsed["by"] else []
        found: Dict[Group, Dict[int, List[float]]] = {}
        times = set()
        for at, metric, tags, value in self.samples:
            if metric == parsed["metric"] and start <= at <= self.now:
                bucket = midnight(at * 1000) // 1000 if step == DAILY else at // int(step) * int(step)
                times.add(bucket)
                if all(tags.get(name) == one for name, one in wanted):
                    found.setdefault(tuple(tags.get(tag, "") for tag in by), {}).setdefault(bucket, []).append(value)
        ordered = sorted(times)
        how = HOW[parsed["how"]]
        values: Dict[Group, List[Value]] = {
            group: [float(how(points[at])) if at in points else None for at in ordered]
            for group, points in found.items()
        }
        return Lines([float(at) for at in ordered], values)


def timeshift(lines: Lines, seconds: int) -> Lines:
    """Show the value of so many seconds before; `seconds` is below zero."""
    moved = {
        group: [dict(zip(lines.times, line)).get(at + seconds) for at in lines.times]
        for group, line in lines.values.items()
    }
    return Lines(lines.times, moved)


def _parsed(text: str) -> Dict[str, Any]:
    found = QUERY.fullmatch(text)
    assert found, text
    return found.groupdict()


def _worked_out(formula: str, named: Dict[str, Lines]) -> Lines:
    """Work a formula out over queries that it names; those that found nothing have the times of the others."""
    times = max((lines.times for lines in named.values()), key=len)
    for name, lines in named.items():
        if not lines.times:
            named[name] = Lines(times, {})
    found = eval(formula, {"default_zero": default_zero, "timeshift": timeshift, **named})
    assert isinstance(found, Lines)
    return found


def widgets(board: Dict[str, Any]) -> List[Tuple[Dict[str, Any], int, Dict[str, Any]]]:
    """List a dashboard's requests: widget, number in it, request."""
    inner = [one["definition"] for group in board["widgets"] for one in group["definition"]["widgets"]]
    return [(one, number, request) for one in inner for number, request in enumerate(one.get("requests", []))]
