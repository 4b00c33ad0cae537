"""The query languages of the Grafana dashboards: how each asks, and what its readers must know."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional

from .asks import Ask
from .influxql import influxql
from .panels import NO_HOURS, PICKED
from .promql import promql


class Language(NamedTuple):
    """Say in one query language what a dashboard needs."""

    datasource: str
    query: Callable[[Ask, bool], Optional[str]]
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
            "late": "Counted when the cloud has told it, so bars are 1 to 3 hours late; after an outage all of it "
            "comes in one.",
            "zone": "the dashboard's time zone",
            "since": ", counted since the plugin first ran",
            "seen": " that a cycle saw",
            "forecast": "The month so far, and its rest at the rate of the last 7 days. The variable `utc_offset` and "
            "the configured time zone must agree. Needs the ranges `this_month` and `last_7d` in the configuration.",
            "no_forecast": "Not known, or the file lacks the range this_month or last_7d",
            "rest": " What none of them covers is shown too.",
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
            "late": "The newest 3 hours still grow.",
            "zone": "the time zone of the variable `timezone`",
            "since": "",
            "seen": "",
            "forecast": "The month's mean settled hour times the 730.5 hours of a mean month; rough in its first days. "
            + PICKED,
            "no_forecast": NO_HOURS,
            "rest": " What none of them covers is the difference to the whole: InfluxQL cannot subtract it.",
        },
    ),
}
