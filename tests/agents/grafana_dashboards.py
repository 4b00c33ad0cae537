"""Read a dashboard as Grafana does in Shanghai: its panels' queries and times, with the variables filled in."""

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
    """A picked time range, milliseconds."""

    start: int
    end: int


def panels(dashboard: Dict[str, Any]) -> List[Dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def titles(dashboard: Dict[str, Any]) -> List[str]:
    return [panel["title"] for panel in panels(dashboard)]


def find_panel(dashboard: Dict[str, Any], title: str) -> Dict[str, Any]:
    (found,) = [panel for panel in panels(dashboard) if panel["title"] == title]
    return found


def is_over_time(panel: Dict[str, Any]) -> bool:
    return panel["type"] in ("timeseries", "status-history")


def cell(panel: Dict[str, Any], column: str, tags: Dict[str, str]) -> Tuple[str, ...]:
    """Return the title of a table's column, and the tags of one of its rows, in their order."""
    columns = panel["transformations"][-1]["options"]
    return (columns["renameByName"][column], *(tags[name] for name in columns["indexByName"] if tags.get(name)))


def variables(dashboard: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def panel_range(panel: Dict[str, Any], picked: Range, fixed: bool = False) -> Range:
    """Return the range that a panel shows for a picked one, which ends now unless it is `fixed`."""
    since, shift = "" if fixed else panel.get("timeFrom", ""), panel.get("timeShift", "0h")
    start = {
        "": picked.start,
        "now/d": midnight(picked.end),
        "now/M": month_start(picked.end),
        "now-29d/d": midnight(picked.end - 29 * UNITS["d"]),
    }[since]
    if shift == "1M":
        return Range(month_before(start), month_before(picked.end))
    return Range(start - duration_ms(shift), picked.end - duration_ms(shift))


def duration_ms(text: str) -> int:
    """Parse a duration such as 5m; return milliseconds."""
    return int(text[:-1]) * UNITS[text[-1]]


def midnight(at: int) -> int:
    """Return when the day began."""
    return _start_of(at, hour=0)


def month_start(at: int) -> int:
    return _start_of(at, day=1, hour=0)


def next_month(at: int) -> int:
    """Return when the next month begins."""
    return month_start(month_start(at) + 32 * UNITS["d"])


def month_before(at: int) -> int:
    """Return the same day and time of the month before."""
    return month_start(month_start(at) - 1) + at - month_start(at)


def _start_of(at: int, **replaced: int) -> int:
    local = dt.datetime.fromtimestamp(at / 1000, SHANGHAI).replace(minute=0, second=0, microsecond=0, **replaced)
    return int(local.timestamp() * 1000)


def fill_in(dashboard: Dict[str, Any], query: str, chosen: Chosen) -> str:
    """Replace the variables in a query by their values; an unknown variable is an error."""
    known = variables(dashboard)

    def value(found: re.Match[str]) -> str:
        name = found[1]
        values = chosen[name]
        if values is None:
            return str(known[name]["allValue"])
        return values[0] if len(values) == 1 else f"({'|'.join(values)})"

    return re.sub(r"\$(\w+)", value, query)


def legend(pattern: str, tags: Dict[str, str]) -> str:
    """Fill in a legend of either data source: {{name}} or $tag_name."""
    return re.sub(r"\{\{(\w+)\}\}|\$tag_(\w+)", lambda found: tags.get(found[1] or found[2], ""), pattern).strip()
