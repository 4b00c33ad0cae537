"""Work out what Datadog would show of a dashboard's widgets."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from .dashboards import month_began
from .datadog_queries import Sample, ask, work_out

SPANS = {"15m": 900, "1h": 3600, "1w": 604_800}
Widget = Dict[str, Any]


class Board:
    """Answer requests of widgets as of a moment, over a picked span, both in seconds."""

    def __init__(self, samples: List[Sample], now: int, span: int, chosen: Dict[str, str]) -> None:
        self.samples, self.now, self.span, self.chosen = samples, now, span, chosen

    def shown(self, widget: Widget, request: Dict[str, Any]) -> Dict[Any, float]:
        """Return values by group; over time by group and time."""
        formula = request["formulas"][0]["formula"]
        shifts = re.findall(r"timeshift\(\w+, -(\d+)\)", formula)
        start = self._start(widget.get("time", {}).get("live_span", "")) - sum(map(int, shifts))
        samples = [one for one in self.samples if start <= one.at <= self.now]
        assert all("as_count" not in query["query"] or query["query"][:4] == "sum:" for query in request["queries"])
        named = {query["name"]: ask(query["query"], samples, self.chosen) for query in request["queries"]}
        if request["response_format"] == "scalar":  # each query is one number before the formula sees it
            for query in request["queries"]:
                named[query["name"]] = named[query["name"]].reduced(query["aggregator"], self.now)
            return {group: line[self.now] for group, line in work_out(formula, named).values.items()}
        lines = work_out(formula, named).values
        return {(group, at): value for group, line in lines.items() for at, value in line.items() if at <= self.now}

    def _start(self, span: str) -> int:
        if span == "month_to_date":
            return month_began(self.now * 1000) // 1000
        return self.now - (SPANS[span] if span else self.span)


def widgets(board: Dict[str, Any]) -> List[Tuple[Widget, int, Dict[str, Any]]]:
    """List a dashboard's requests: widget, number in it, request."""
    inner = [one["definition"] for group in board["widgets"] for one in group["definition"]["widgets"]]
    return [(one, number, request) for one in inner for number, request in enumerate(one.get("requests", []))]
