"""Evaluate a Datadog monitor: the value that is compared with its limit, by group."""

from __future__ import annotations

import re
from typing import Dict, List, Set

from .datadog_query_eval import QUERY, Group, Lines, Sample, evaluate_formula, evaluate_query
from .test_datadog_assets import ASSETS, read

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MONITOR_QUERY = re.compile(r"(max|min|avg|sum)\(last_(\d+)([mhdw])\):(.*) ([<>]) ([\d.]+)")


def monitor_query(name: str) -> str:
    text: str = read(ASSETS / "datadog" / "monitors" / f"{name}.json")["definition"]["query"]
    return text


def alerts(name: str, samples: List[Sample], now: float) -> Set[Group]:
    """Return the groups in which a monitor alerts."""
    *_, sign, limit = MONITOR_QUERY.fullmatch(monitor_query(name)).groups()  # type: ignore[union-attr]
    found = evaluate_monitor(monitor_query(name), samples, now)
    return {group for group, value in found.items() if (value > float(limit) if sign == ">" else value < float(limit))}


def evaluate_monitor(text: str, samples: List[Sample], now: float) -> Dict[Group, float]:
    """Return the values that a monitor compares with its limit."""
    how, number, unit, formula, _, _ = MONITOR_QUERY.fullmatch(text).groups()  # type: ignore[union-attr]
    since = now - int(number) * UNITS[unit]
    named: Dict[str, Lines] = {}

    def name(found: re.Match[str]) -> str:
        lines = evaluate_query(found[0], samples, {})
        # With as_count() each query is summed over time before the formula.
        named[f"q{len(named)}"] = lines.aggregate("sum", now, since) if ".as_count()" in text else lines
        return f"q{len(named) - 1}"

    assert how == "sum" or ".as_count()" not in text
    lines = evaluate_formula(QUERY.sub(name, formula), named).aggregate(how, now, since)
    return {group: line[now] for group, line in lines.values.items()}
