"""Work out what a Datadog monitor compares with its limit, by group."""

from __future__ import annotations

import re
from typing import Dict, List, Set

from .datadog_queries import QUERY, Group, Lines, Sample, ask, work_out
from .test_datadog_assets import ASSETS, read

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
FORM = re.compile(r"(max|min|avg|sum)\((?:last_(\d+)([mhdw])|current_1mo)\):(.*) ([<>]) ([\d.]+)")


def query(name: str) -> str:
    text: str = read(ASSETS / "datadog" / "monitors" / f"{name}.json")["definition"]["query"]
    return text


def alerts(name: str, samples: List[Sample], now: float) -> Set[Group]:
    """List the groups in which a monitor alerts."""
    *_, sign, limit = FORM.fullmatch(query(name)).groups()  # type: ignore[union-attr]
    found = compared(query(name), samples, now)
    return {group for group, value in found.items() if (value > float(limit) if sign == ">" else value < float(limit))}


def compared(text: str, samples: List[Sample], now: float, month: float = 0.0) -> Dict[Group, float]:
    """Return what a monitor compares with its limit; the month began at `month`."""
    how, number, unit, formula, _, _ = FORM.fullmatch(text).groups()  # type: ignore[union-attr]
    since = now - int(number) * UNITS[unit] if unit else month
    named: Dict[str, Lines] = {}

    def name(found: re.Match[str]) -> str:
        lines = ask(found[0], samples, {})
        # With as_count() each query is summed over the time before the formula sees it.
        named[f"q{len(named)}"] = lines.reduced("sum", now, since) if ".as_count()" in text else lines
        return f"q{len(named) - 1}"

    assert how == "sum" or ".as_count()" not in text
    lines = work_out(QUERY.sub(name, formula), named).reduced(how, now, since)
    return {group: line[now] for group, line in lines.values.items()}
