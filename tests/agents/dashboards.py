"""Read a dashboard as Grafana would, in Shanghai: its panels' queries and times, with the variables filled in."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .programs import ROOT

Chosen = Dict[str, Optional[Tuple[str, ...]]]
FOLDER = ROOT / "maas_usage_check" / "assets" / "grafana"
PROMETHEUS, INFLUXDB = (
    json.loads((FOLDER / f"maas-usage-{name}.json").read_text(encoding="utf-8")) for name in ("prometheus", "influxdb")
)
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Milliseconds."""


class Range(NamedTuple):
    """Hold a range that somebody picked, milliseconds."""

    start: int
    end: int


def panels(dashboard: Dict[str, Any]) -> List[Dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def titles(dashboard: Dict[str, Any]) -> List[str]:
    return [panel["title"] for panel in panels(dashboard)]


def panel_of(dashboard: Dict[str, Any], title: str) -> Dict[str, Any]:
    (found,) = [panel for panel in panels(dashboard) if panel["title"] == title]
    return found


def is_over_time(panel: Dict[str, Any]) -> bool:
    return panel["type"] in ("timeseries", "status-history")


def variables(dashboard: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def range_of(panel: Dict[str, Any], picked: Range, fixed: bool = False) -> Range:
    """Say which range a panel shows where another was picked; one that ends now, unless it is of two fixed times."""
    since = "" if fixed else panel.get("timeFrom", "")
    shift = length(panel.get("timeShift", "0h"))
    start = {
        "": picked.start,
        "now/d": midnight(picked.end),
        "now/M": month_began(picked.end),
        "now-29d/d": midnight(picked.end - 29 * UNITS["d"]),
    }[since]
    return Range(start - shift, picked.end - shift)


def length(text: str) -> int:
    """Read a length of time, milliseconds."""
    return int(text[:-1]) * UNITS[text[-1]]


def midnight(at: int) -> int:
    """Say when the day began."""
    return _began(at, hour=0)


def month_began(at: int) -> int:
    return _began(at, day=1, hour=0)


def _began(at: int, **replaced: int) -> int:
    local = dt.datetime.fromtimestamp(at / 1000, SHANGHAI).replace(minute=0, second=0, microsecond=0, **replaced)
    return int(local.timestamp() * 1000)


def filled_in(dashboard: Dict[str, Any], query: str, chosen: Chosen) -> str:
    """Put the variables' values into a query; a name that is no variable is an error."""
    known = variables(dashboard)

    def value(found: re.Match[str]) -> str:
        name = found[1]
        values = chosen[name]
        if values is None:
            return str(known[name]["allValue"])
        return values[0] if len(values) == 1 else f"({'|'.join(values)})"

    return re.sub(r"\$(\w+)", value, query)


def legend(pattern: str, tags: Dict[str, str]) -> str:
    """Name a series as either data source does: {{name}} or $tag_name."""
    return re.sub(r"\{\{(\w+)\}\}|\$tag_(\w+)", lambda found: tags.get(found[1] or found[2], ""), pattern).strip()
