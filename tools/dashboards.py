"""Write the Grafana dashboards, one per query language, from one list of panels: `python -m tools.dashboards`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, KEY_USAGE, USAGE

from .panels import ANY, FILTERS, PANELS, SAME, SUMS, Panel, Query

FOLDER = Path(__file__).parent.parent / "maas_usage_check" / "assets" / "grafana"
DATASOURCE = "${datasource}"
HOLD = "2h"
"""How long a series that got no answer keeps its last value: until well after the alert MaasCollectionPartial."""
BUDGET = "1000000000"
ON_TIME_CHANGE = 2
MAPPINGS = {
    "up": {"0": "down", "1": "up"},
    "result_code": {str(result.value): f"{result.value} {result.name.lower()}" for result in Result},
}


def promql(query: Query) -> str:
    """Write a query for Prometheus: the last value of each series, then series that are one, then over the series."""

    def of(field: str, measurement: str = query.measurement) -> str:
        grouping = f" by ({', '.join(query.by)})" if query.by else ""
        if measurement == API:
            return f'{query.how}{grouping} ({measurement}_{field}{{region=~"$region"}})'
        held = f"last_over_time({measurement}_{field}{{{','.join(matchers(measurement))}}}[{HOLD}])"
        return f"{query.how}{grouping} (max by ({', '.join(_same(measurement))}) ({held}))"

    def matchers(measurement: str) -> Iterator[str]:
        yield f'range=~"{ANY}"' if query.span == ANY else f'range="{query.span}"'
        yield from (f'{name}=~"${name}"' for name in FILTERS)
        if measurement == KEY_USAGE and not query.rest:
            yield 'api_key_label=~"$api_key"'

    if query.rest:
        return f"{of(query.field, USAGE)} - {of(query.field, KEY_USAGE)}"
    over = f" / clamp_min({of(query.over)}, 1)" if query.over else ""
    return of(query.field) + over + query.then


def influxql(query: Query) -> str:
    """Write a query for InfluxDB 1.x: the last value of each series, then series that are one, then over the series."""
    fields = [query.field, *([query.over] if query.over else [])]
    # Windows that end now and not fill(previous): InfluxDB mixes up the steps of filled series when it adds them up.
    step = "$__interval" if query.measurement == API else f"{HOLD}, now()"

    def over(inner: str, what: str, tags: Sequence[str]) -> str:
        groups = "".join(f', "{tag}"' for tag in tags)
        # Not built from anybody's input: S608.
        return f"SELECT {what} FROM ({inner}) WHERE $timeFilter GROUP BY time({step}){groups}"  # noqa: S608

    def filters() -> Iterator[str]:
        if query.measurement == API:
            yield '"region" =~ /^$region$/'
            return
        yield f'"range" =~ /{ANY}/' if query.span == ANY else f"\"range\" = '{query.span}'"
        yield from (f'"{name}" =~ /^${name}$/' for name in FILTERS)
        if query.measurement == KEY_USAGE:
            yield '"api_key_label" =~ /^$api_key$/'

    lasts = ", ".join(f'last("{field}") AS "{field}"' for field in fields)
    where = " AND ".join([*filters(), "$timeFilter"])
    inner = f'SELECT {lasts} FROM "{query.measurement}" WHERE {where} GROUP BY time({step}), *'  # noqa: S608
    if query.measurement != API:
        inner = over(inner, ", ".join(f'max("{field}") AS "{field}"' for field in fields), _same(query.measurement))
    value = " / ".join(f'{query.how}("{field}")' for field in fields)
    return over(inner, value + query.then, query.by) + " fill(none)"


def _same(measurement: str) -> Sequence[str]:
    """Name the tags that tell the series of a measurement apart."""
    return (*SAME, "api_key_label") if measurement == KEY_USAGE else SAME


class Language(NamedTuple):
    """Say in one query language what a dashboard needs."""

    datasource: str
    query: Callable[[Query], str]
    target: Dict[str, Any]
    instant: Dict[str, Any]
    subtracts: bool
    query_key: str
    legend_key: str
    legend: str
    values: str


LANGUAGES = {
    "prometheus": Language(
        "prometheus",
        promql,
        {"range": True, "instant": False},
        {"range": False, "instant": True},
        True,
        "expr",
        "legendFormat",
        r"{{\1}}",
        "label_values({measurement}_total_tokens, {name})",
    ),
    "influxdb": Language(
        "influxdb",
        influxql,
        {"rawQuery": True, "resultFormat": "time_series"},
        {},
        False,  # one measurement from another
        "query",
        "alias",
        r"$tag_\1",
        'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{name}"',
    ),
}


def dashboard(name: str) -> Dict[str, Any]:
    """Make the dashboard of a query language."""
    language = LANGUAGES[name]
    return {
        "id": None,
        "uid": f"maas-usage-{name}",
        "title": f"Huawei Cloud MaaS usage ({'Prometheus' if name == 'prometheus' else 'InfluxDB'})",
        "description": "Tokens, requests and errors of Huawei Cloud MaaS, as its console counts them. The cloud's "
        "statistics lag 1 to 2 hours. An operational signal, not an invoice.",
        "tags": ["huawei-cloud", "maas"],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": list(_variables(language))},
        "panels": list(_panels(language)),
    }


def _variables(language: Language) -> Iterator[Dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": language.datasource}
    yield {
        **_from_store(language, "range", "Range"),
        "description": "The range that panels of one range show.",
        "current": {"text": "last_7d", "value": "last_7d"},
    }
    many = {"multi": True, "includeAll": True, "current": {"text": ["All"], "value": ["$__all"]}}
    for name in FILTERS:
        yield {**_from_store(language, name, name.replace("_", " ").capitalize()), **many, "allValue": ".*"}
    yield {
        **_from_store(language, "api_key_label", "API key", KEY_USAGE),
        **many,
        "name": "api_key",
        "description": "The labels that the panel by API key shows; the other panels show the whole.",
        "allValue": ".*",
    }
    budget = {"text": BUDGET, "value": BUDGET}
    yield {
        "name": "budget",
        "label": "Budget in tokens per 30 days",
        "type": "textbox",
        "query": BUDGET,
        "current": budget,
        "options": [{**budget, "selected": True}],
    }


def _from_store(language: Language, name: str, label: str, measurement: str = USAGE) -> Dict[str, Any]:
    query = language.values.format(measurement=measurement, name=name)
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        "query": query,
        "definition": query,
        "refresh": ON_TIME_CHANGE,
        "sort": 1,
        "options": [],
    }


def _panels(language: Language) -> Iterator[Dict[str, Any]]:
    x, y, height = 0, 0, 8
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > 24:
            x, y = 0, y + height
        yield {
            "id": number,
            "type": panel.kind,
            "title": panel.title,
            "description": panel.description + (f" {SUMS}" if any(query.adds_up for query in panel.queries) else ""),
            "datasource": {"type": language.datasource, "uid": DATASOURCE},
            "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
            "interval": "5m",
            "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
            "options": _options(panel),
            "targets": [
                _target(language, panel, index)
                for index, query in enumerate(panel.queries)
                if language.subtracts or not query.rest
            ],
        }
        x += panel.width


def _target(language: Language, panel: Panel, index: int) -> Dict[str, Any]:
    query = panel.queries[index]
    return {
        "refId": "ABC"[index],
        "datasource": {"type": language.datasource, "uid": DATASOURCE},
        language.query_key: language.query(query),
        language.legend_key: re.sub(r"\{(\w+)\}", language.legend, query.legend),
        **language.target,
        **({} if panel.kind == "timeseries" else language.instant),
    }


def _defaults(panel: Panel) -> Dict[str, Any]:
    steps: List[Dict[str, Any]] = [{"color": "green", "value": None}]
    field = panel.queries[0].field
    if panel.title == "Budget used":
        steps += [{"color": "orange", "value": 0.8}, {"color": "red", "value": 1}]
    if field == "result_code":
        steps += [{"color": "orange", "value": 1}, {"color": "red", "value": 2}]
    if field in ("up", "coverage_ratio"):
        steps = [{"color": "red" if field == "up" else "orange", "value": None}, {"color": "green", "value": 1}]
    texts = {value: {"text": text, "index": i} for i, (value, text) in enumerate(MAPPINGS.get(field, {}).items())}
    return {
        "unit": panel.unit,
        "min": 0,
        **({"max": 1} if panel.kind == "gauge" else {}),
        "mappings": [{"type": "value", "options": texts}] if texts else [],
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        # A gap stays a gap: a failure must not look like a value.
        "custom": {"spanNulls": False, "fillOpacity": 10} if panel.kind == "timeseries" else {},
    }


def _options(panel: Panel) -> Dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        **({"orientation": "horizontal", "displayMode": "basic"} if panel.kind == "bargauge" else {}),
    }


def text(name: str) -> str:
    """Write a dashboard as the file holds it."""
    return json.dumps(dashboard(name), indent=2) + "\n"


if __name__ == "__main__":
    for name in LANGUAGES:
        (FOLDER / f"maas-usage-{name}.json").write_text(text(name), encoding="utf-8")
