"""Write the Grafana dashboards, one per query language, from one list of panels: `python -m tools.dashboards`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

from maas_usage_check.errors import Result
from maas_usage_check.metrics import MODEL, USAGE

from .grafana_table import NAMES, column_units, transformations
from .languages import LANGUAGES, Language
from .panel_queries import FILTERS, Incomplete, State
from .panels import ROWS, Panel

FOLDER = Path(__file__).parent.parent / "maas_usage_check" / "assets" / "grafana"
DATASOURCE = "${datasource}"
HEIGHT = 8
ON_TIME_CHANGE = 2
OVER_TIME = ("timeseries", "bars", "status-history")
MAPPINGS = {
    "up": {"0": "down", "1": "up"},
    "result_code": {str(result.value): f"{result.value} {result.name.lower().replace('_', ' ')}" for result in Result},
}
SHARE_STEPS = (("green", None), ("orange", 0.8), ("red", 1))
STEPS = {
    "Budget used": SHARE_STEPS,
    "Forecast against the budget": SHARE_STEPS,
    "Failing now": (("green", None), ("orange", 0.05), ("red", 0.1)),
    "Collection": (("red", None), ("green", 1)),
    "Result of the last cycle": (("green", None), ("orange", 1), ("red", 2)),
    "Missing hours": (("green", None), ("orange", 1)),
    "Coverage of the ranges": (("orange", None), ("green", 1)),
}
"""The colours of a panel's values, by title."""


def dashboard(name: str) -> Dict[str, Any]:
    """Make the dashboard of a query language."""
    language = LANGUAGES[name]
    return {
        "id": None,
        "uid": f"maas-usage-{name}",
        "title": f"Huawei Cloud MaaS usage ({'Prometheus' if name == 'prometheus' else 'InfluxDB'})",
        "description": "Usage of Huawei Cloud MaaS: now, today and this month, by hour and day, by model and key, and "
        "whether the numbers can be trusted. An operational signal, not an invoice.",
        "tags": ["huawei-cloud", "maas"],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5m",
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_incomplete_cycles(language)]},
        "links": [],
        "templating": {"list": list(_variables(language))},
        "panels": list(_panels(language)),
    }


def _incomplete_cycles(language: Language) -> Dict[str, Any]:
    """Mark partial and failed cycles on every time axis: low values there may be incomplete."""
    return {
        "name": "Collection partial or down",
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        "enable": True,
        "iconColor": "orange",
        language.query_key: language.query(Incomplete(), True),
    }


def _variables(language: Language) -> Iterator[Dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": language.datasource}
    counted = language.datasource == "prometheus"
    for name in FILTERS:
        yield _from_store(language, name, f"{USAGE}_total_tokens" if counted else USAGE)
    yield _from_store(language, "model", f"{MODEL}_requests_per_minute" if counted else MODEL)
    if not counted:
        yield _typed("timezone", "Time zone of the days", "Asia/Shanghai")


def _from_store(language: Language, name: str, measurement: str) -> Dict[str, Any]:
    query = language.values.format(measurement=measurement, name=name)
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": "query",
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        "query": query,
        "definition": query,
        "refresh": ON_TIME_CHANGE,
        "sort": 1,
        "options": [],
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "allValue": ".*",
    }


def _typed(name: str, label: str, value: str) -> Dict[str, Any]:
    chosen = {"text": value, "value": value}
    return {
        "name": name,
        "label": label,
        "type": "textbox",
        "query": value,
        "current": chosen,
        "options": [{**chosen, "selected": True}],
    }


def _panels(language: Language) -> Iterator[Dict[str, Any]]:
    y, number = 0, 0
    for row in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "collapsed": False, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            number += 1
            if x + panel.width > 24:
                x, y = 0, y + height
            height = _height(panel)
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            yield {"id": number, "gridPos": place, **_panel(language, panel)}
            x += panel.width
        y += height


def _height(panel: Panel) -> int:
    return {"stat": 4, "status-history": 14}.get(panel.kind, HEIGHT)


def _panel(language: Language, panel: Panel) -> Dict[str, Any]:
    queries = [(legend, language.query(query, panel.kind in OVER_TIME)) for legend, query in panel.queries]
    if panel.kind == "table":
        queries = [(title, text and language.named(text, title)) for title, text in queries]
    return {
        "type": "timeseries" if panel.kind == "bars" else panel.kind,
        "title": panel.title,
        "description": panel.description.format(**language.notes),
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        "interval": panel.step or language.minutes,
        **({"timeFrom": panel.since} if panel.since else {}),
        **({"timeShift": panel.earlier} if panel.earlier else {}),
        "fieldConfig": {"defaults": _defaults(language, panel), "overrides": list(column_units(panel))},
        "options": _options(panel),
        **({"transformations": transformations(language, panel)} if panel.kind == "table" else {}),
        "targets": [
            _target(language, panel, name, legend, text) for name, (legend, text) in zip(NAMES, queries) if text
        ],
    }


def _target(language: Language, panel: Panel, name: str, legend: str, text: str) -> Dict[str, Any]:
    return {
        "refId": name,
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        language.query_key: text,
        language.legend_key: re.sub(r"\{(\w+)\}", language.legend, legend),
        **language.target,
        **({} if panel.kind in OVER_TIME else language.once),
        **(language.table if panel.kind == "table" else {}),
    }


def _defaults(language: Language, panel: Panel) -> Dict[str, Any]:
    (_, query), *_ = panel.queries
    words = MAPPINGS.get(query.field, {}) if isinstance(query, State) else {}
    texts = {value: {"text": text, "index": i} for i, (value, text) in enumerate(words.items())}
    steps = [{"color": color, "value": value} for color, value in STEPS.get(panel.title, (("green", None),))]
    return {
        "unit": panel.unit,
        "noValue": panel.empty.format(**language.notes),
        **({} if panel.kind == "stat" else {"min": 0}),
        "mappings": [{"type": "value", "options": texts}] if texts else [],
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": _colour(panel)},
        "custom": _look(panel),
    }


def _colour(panel: Panel) -> str:
    if panel.kind == "status-history":
        return "continuous-BlYlRd"
    return "thresholds" if panel.kind in ("stat", "bargauge") else "palette-classic"


def _look(panel: Panel) -> Dict[str, Any]:
    if panel.kind == "bars":
        # A bar begins at its time.
        return {"drawStyle": "bars", "fillOpacity": 80, "barAlignment": 1, "stacking": {"mode": "normal", "group": "A"}}
    if panel.kind == "timeseries":
        # A gap stays a gap: a failure must not look like a value.
        return {"spanNulls": False, "showPoints": "auto", "fillOpacity": 10}
    return {}


def _options(panel: Panel) -> Dict[str, Any]:
    if panel.kind in ("timeseries", "bars"):
        calc, shown = ("sum", "Total") if panel.kind == "bars" else ("max", "Max")
        return {"legend": _legend("bottom", shown, calcs=[calc]), "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "status-history":
        return {"showValue": "never", "rowHeight": 1, "colWidth": 1, "legend": {"showLegend": False}}
    if panel.kind == "table":
        return {"showHeader": True, "sortBy": [{"displayName": panel.queries[0][0], "desc": True}]}
    options: Dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if panel.kind == "piechart":
        legend = _legend("right", "Value", values=["value", "percent"])
        return {**options, "pieType": "donut", "legend": legend, "tooltip": {"mode": "single"}}
    if panel.kind == "bargauge":
        return {**options, "orientation": "horizontal", "displayMode": "basic"}
    return {**options, "colorMode": "background" if panel.title in STEPS else "value", "graphMode": "none"}


def _legend(placement: str, sort_by: str, **more: List[str]) -> Dict[str, Any]:
    """Make a legend with the largest first."""
    where = {"displayMode": "table", "placement": placement, "showLegend": True}
    return {**where, "sortBy": sort_by, "sortDesc": True, **more}


def text(name: str) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(dashboard(name), indent=2) + "\n"


if __name__ == "__main__":
    for name in LANGUAGES:
        (FOLDER / f"maas-usage-{name}.json").write_text(text(name), encoding="utf-8")
