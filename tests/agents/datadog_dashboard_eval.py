"""Evaluate the widgets of a Datadog dashboard."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from .datadog_query_eval import Sample, evaluate_formula, evaluate_query
from .grafana_dashboards import month_before, month_start

SPANS = {"15m": 900, "1h": 3600, "1w": 604_800}
Widget = Dict[str, Any]


class DashboardEvaluator:
    """Evaluates requests of widgets at `now` over a picked span, both in seconds."""

    def __init__(self, samples: List[Sample], now: int, span: int, chosen: Dict[str, str]) -> None:
        self.samples, self.now, self.span, self.chosen = samples, now, span, chosen

    def evaluate(self, widget: Widget, request: Dict[str, Any]) -> Dict[Any, float]:
        """Return values by group, or for a time series by group and time."""
        formula = request["formulas"][0]["formula"]
        shifts = re.findall(r"timeshift\(\w+, -(\d+)\)", formula)
        start = self._start(widget.get("time", {}).get("live_span", "")) - sum(map(int, shifts))
        if "calendar_shift" in formula:
            start = month_before(start * 1000) // 1000
        samples = [one for one in self.samples if start <= one.at <= self.now]
        assert all("as_count" not in query["query"] or query["query"][:4] == "sum:" for query in request["queries"])
        named = {query["name"]: evaluate_query(query["query"], samples, self.chosen) for query in request["queries"]}
        if request["response_format"] == "scalar":  # each query is aggregated before the formula
            for query in request["queries"]:
                named[query["name"]] = named[query["name"]].aggregate(query["aggregator"], self.now)
            return {group: line[self.now] for group, line in evaluate_formula(formula, named).values.items()}
        lines = evaluate_formula(formula, named).values
        return {(group, at): value for group, line in lines.items() for at, value in line.items() if at <= self.now}

    def _start(self, span: str) -> int:
        if span == "month_to_date":
            return month_start(self.now * 1000) // 1000
        return self.now - (SPANS[span] if span else self.span)


def widgets(dashboard: Dict[str, Any]) -> List[Tuple[Widget, int, Dict[str, Any]]]:
    """Return each request of a dashboard: its widget, its number there, and itself."""
    inner = [one["definition"] for group in dashboard["widgets"] for one in group["definition"]["widgets"]]
    return [(one, number, request) for one in inner for number, request in enumerate(one.get("requests", []))]
