"""Read a dashboard as Grafana would: its panels' queries, with the variables filled in."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Tuple

from .programs import ROOT

Chosen = Dict[str, Optional[Tuple[str, ...]]]
FOLDER = ROOT / "maas_usage_check" / "assets" / "grafana"
PROMETHEUS, INFLUXDB = (
    json.loads((FOLDER / f"maas-usage-{name}.json").read_text(encoding="utf-8")) for name in ("prometheus", "influxdb")
)


def titles(dashboard: Dict[str, Any]) -> List[str]:
    return [panel["title"] for panel in dashboard["panels"]]


def targets(dashboard: Dict[str, Any], title: str) -> List[Dict[str, Any]]:
    (panel,) = [panel for panel in dashboard["panels"] if panel["title"] == title]
    found: List[Dict[str, Any]] = panel["targets"]
    return found


def variables(dashboard: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


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
