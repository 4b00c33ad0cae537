"""The query languages of the Grafana dashboards: how each writes a query, and the notes for its readers."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional

from .influxql import influxql
from .panel_queries import PanelQuery
from .panels import NO_HOURS, PICKED
from .promql import promql


class Language(NamedTuple):
    """The parts of a dashboard that depend on its query language."""

    datasource: str
    query: Callable[[PanelQuery, bool], Optional[str]]
    target: Dict[str, Any]
    once: Dict[str, Any]
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
        "expr",
        "legendFormat",
        r"{{\1}}",
        "label_values({measurement}, {name})",
        "5m",
        {
            "late": "Counters increase when the cloud reports the usage, 1 to 3 hours later, so bars are shifted by "
            "that; after an outage all of its usage is in one bar.",
            "zone": "the dashboard's time zone",
            "since": ", counted since the plugin first ran",
            "seen": " that was collected",
            "forecast": "The month so far, plus its remaining days at the rate of the last 7 days. The variable "
            "`utc_offset` must match the configured time zone. Needs the ranges `this_month` and `last_7d` in the "
            "configuration.",
            "no_forecast": "No value yet, or the range this_month or last_7d is missing in the configuration",
            "rest": " The part without one is shown too.",
        },
    ),
    "influxdb": Language(
        "influxdb",
        influxql,
        {"rawQuery": True, "resultFormat": "time_series"},
        {},
        "query",
        "alias",
        r"$tag_\1",
        'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{name}"',
        "1m",
        {
            "late": "The values of the newest 3 hours still grow.",
            "zone": "the time zone of the variable `timezone`",
            "since": "",
            "seen": "",
            "forecast": "The mean of the month's settled hours, times the 730.5 hours of an average month; imprecise "
            "in the month's first days. " + PICKED,
            "no_forecast": NO_HOURS,
            "rest": " The part without one is the difference to the total: InfluxQL cannot calculate it.",
        },
    ),
}
