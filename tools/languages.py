"""The query languages of the Grafana dashboards: how each writes a query, and the notes for its readers."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional

from .influxql import influxql, named
from .panel_queries import PanelQuery
from .promql import promql


class Language(NamedTuple):
    """The parts of a dashboard that depend on its query language."""

    datasource: str
    query: Callable[[PanelQuery, bool], Optional[str]]
    target: Dict[str, Any]
    once: Dict[str, Any]
    table: Dict[str, Any]
    column: str
    """The name of a table's values in Grafana."""
    named: Callable[[str, str], str]
    """Give the values of a query that name, as far as the query can."""
    query_key: str
    legend_key: str
    legend: str
    values: str
    minutes: str
    notes: Dict[str, str]


LANGUAGES = {
    "prometheus": Language(
        "prometheus",
        promql,
        {"range": True, "instant": False},
        {"range": False, "instant": True},
        {"format": "table"},
        "Value #{query}",
        lambda query, title: query,
        "expr",
        "legendFormat",
        r"{{\1}}",
        "label_values({measurement}, {name})",
        "5m",
        {
            "late": "Counters increase when the cloud reports the usage, 1 to 3 hours later, so bars are shifted by "
            "that; after an outage all of its usage is in one bar.",
            "counted": "Counters increase when an hour is over, so bars are shifted by that; after an outage all of "
            "its cost is in one bar.",
            "zone": "the dashboard's time zone",
            "since": ", counted since the plugin first ran",
            "seen": " that was collected",
            "rest": " The part without one is shown too.",
        },
    ),
    "influxdb": Language(
        "influxdb",
        influxql,
        {"rawQuery": True, "resultFormat": "time_series"},
        {},
        {"resultFormat": "table"},
        "{title}",
        named,
        "query",
        "alias",
        r"$tag_\1",
        'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{name}"',
        "1m",
        {
            "late": "The values of the newest 3 hours still grow.",
            "counted": "An hour shows when it is over.",
            "zone": "the time zone of the variable `timezone`",
            "since": "",
            "seen": "",
            "rest": " The part without one is the difference to the total: InfluxQL cannot calculate it.",
        },
    ),
}
