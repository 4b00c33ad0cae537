"""Write the Datadog dashboard: `python -m tools.datadog`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from maas_usage_check.errors import Result
from maas_usage_check.metrics import (
    API,
    CONSUMED,
    KEY_CONSUMED,
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_KEY_CONSUMED,
    NO_CACHED_SHARE,
    USAGE,
)
from maas_usage_check.metrics.datadog import metric_name

from .datadog_budgets import MONTH_GROUP, OWNERS_GROUP
from .datadog_queries import PER_DAY, PER_HOUR, PROJECT, ZONE, counted, services
from .datadog_widgets import BAD, OK, WARN, Widget, note, placed, ratio, series, toplist, value

FOLDER = Path(__file__).parent.parent / "maas_usage_check" / "assets" / "datadog"
FILE = FOLDER / "dashboards" / "maas_usage.json"
HIGH_RATIO = ((">", 0.1, BAD), (">", 0.05, WARN), ("<=", 0.05, OK))
NOT_ZERO = ((">", 0, WARN), ("<=", 0, OK))


def minute(field: str) -> str:
    """Write a query for a field of each model in the newest complete minute."""
    return f"max:{metric_name(MODEL, field)}{{$region,$project_id,$model}} by {{region,project_id,model}}"


def health(how: str, field: str, by: str = "") -> str:
    """Write a query over the state of the collection."""
    return f"{how}:{metric_name(API, field)}{{$region}}{by}"


def shares(title: str, measurement: str, *by: str, field: str = "tokens") -> Widget:
    """List the shares of the usage in the selected time."""
    return toplist(4, title, a=counted(measurement, field, by))


CODES = ", ".join(f"{result.value} {result.name.lower().replace('_', ' ')}" for result in Result)
GROUPS: Tuple[Tuple[str, Tuple[Widget, ...]], ...] = (
    (
        "Now: is it used, is it slow, what is failing?",
        (
            note(
                "By model, from Cloud Eye: the newest complete minute, without custom endpoints and batch inference. "
                "Empty without `models: true`, and without calls; the last two without `limits` too."
            ),
            series(4, "Requests per minute", ("requests", minute("requests_per_minute"))),
            series(4, "Tokens per minute", ("tokens", minute("tokens_per_minute"))),
            series(
                4, "Errors per minute", ("4xx", minute("errors_4xx")), ("5xx", minute("errors_5xx")), display="bars"
            ),
            toplist(4, "Failing now, share of calls", formats=HIGH_RATIO, span="15m", a=minute("error_ratio")),
            series(4, "Latency, seconds", ("latency", minute("latency_seconds"))),
            series(4, "Time to first token, seconds", ("first token", minute("time_to_first_token_seconds"))),
            series(6, "Requests against the limit", ("share", minute("requests_limit_ratio"))),
            series(6, "Tokens against the limit", ("share", minute("tokens_limit_ratio"))),
        ),
    ),
    MONTH_GROUP,
    OWNERS_GROUP,
    (
        "When: which hour, which day?",
        (
            note(
                "Counts increase when the cloud reports the usage, 1 to 3 hours later, so bars are shifted by that; "
                "after an outage all of its usage is in one bar. Days are those of "
                f"{ZONE}: edit `rollup`. Empty without `hourly: true`; cost also needs `models: true` and `prices`. "
                f"{NO_CACHED_SHARE}"
            ),
            series(6, "Tokens per hour", ("tokens", services(rollup=PER_HOUR)), display="bars"),
            series(6, "Tokens per day", ("tokens", services(rollup=PER_DAY)), display="bars"),
            series(6, "Requests per hour", ("requests", services("requests", PER_HOUR)), display="bars"),
            ratio(
                6,
                "Failed calls per hour, share",
                "errors / requests",
                services("errors", PER_HOUR),
                services("requests", PER_HOUR),
            ),
            series(
                12,
                "Cost per day, prompt and completion",
                ("prompt", counted(MODEL_COST_CONSUMED, "prompt_cost", ("currency",), PER_DAY)),
                ("completion", counted(MODEL_COST_CONSUMED, "completion_cost", ("currency",), PER_DAY)),
                display="bars",
            ),
        ),
    ),
    (
        "Who: which model, which key, which service?",
        (
            note(
                "For the selected time, counted since the plugin first ran. Models and keys need `models: true` and "
                "`hourly: true`, labels `per_api_key: true`. Two instances that query the same calls are counted "
                f"twice. {NO_CACHED_SHARE}"
            ),
            shares("Tokens by model", MODEL_CONSUMED, "model"),
            shares("Cost by model", MODEL_COST_CONSUMED, "model", "currency", field="cost"),
            shares("Requests by model", MODEL_CONSUMED, "model", field="requests"),
            shares("Tokens by API key", MODEL_KEY_CONSUMED, "api_key"),
            shares("Tokens by label", KEY_CONSUMED, "api_key_label"),
            shares("Tokens by service type", CONSUMED, "service_type"),
            toplist(
                6,
                "Tokens without an API key",
                "a - default_zero(b)",
                a=counted(MODEL_CONSUMED, "tokens", PROJECT),
                b=counted(MODEL_KEY_CONSUMED, "tokens", PROJECT),
            ),
            toplist(
                6,
                "Tokens without a label",
                "a - default_zero(b)",
                a=counted(CONSUMED, "tokens", PROJECT),
                b=counted(KEY_CONSUMED, "tokens", PROJECT),
            ),
        ),
    ),
    (
        "Collection: can these numbers be trusted?",
        (
            note(
                f"`result_code`: {CODES}. Only the variable `region` applies here. `missing_hours` and the delay need "
                "`hourly`."
            ),
            value(3, "Up (worst instance)", health("min", "up"), formats=(("<", 1, BAD), (">=", 1, OK))),
            value(3, "Result code of the last cycle", health("max", "result_code"), formats=NOT_ZERO),
            value(3, "Failed queries of the last cycle", health("sum", "failed_queries"), formats=NOT_ZERO),
            value(3, "Missing hours", health("max", "missing_hours"), formats=NOT_ZERO),
            value(
                4,
                "Coverage of the ranges",
                f"min:{metric_name(USAGE, 'coverage_ratio')}{{$region,$project_id,$service_type}}",
                3,
            ),
            ratio(
                4,
                "Delay of the cloud's statistics, seconds",
                "delay",
                health("max", "last_success_timestamp_seconds", " by {region}"),
                health("max", "newest_usage_timestamp_seconds", " by {region}"),
                how="-",
            ),
            series(4, "Up by region", ("up", health("min", "up", " by {region}"))),
            series(
                4,
                "Queries per cycle, and failed ones",
                ("queries", health("sum", "queries")),
                ("failed", health("sum", "failed_queries")),
                display="bars",
            ),
            series(4, "HTTP requests per cycle", ("requests", health("sum", "http_requests")), display="bars"),
            series(4, "Duration of a cycle, seconds", ("seconds", health("max", "duration_seconds", " by {region}"))),
        ),
    ),
)
VARIABLES = ("region", "project_id", "service_type", "model")


def dashboard() -> Dict[str, Any]:
    """Build the dashboard in the form of Datadog's API."""
    variables = [{"name": name, "prefix": name, "available_values": [], "defaults": ["*"]} for name in VARIABLES]
    groups: List[Widget] = []
    for title, widgets in GROUPS:
        inner = placed(widgets)
        look = {
            "type": "group",
            "layout_type": "ordered",
            "title": title,
            "background_color": "blue",
            "show_title": True,
        }
        height = 1 + max(one["layout"]["y"] + one["layout"]["height"] for one in inner)
        groups.append((12, height, {**look, "widgets": inner}))
    return {
        "title": "Huawei Cloud MaaS usage",
        "description": "Usage of Huawei Cloud MaaS: now, today and this month, by hour and day, by model and key, and "
        "whether the numbers can be trusted. An operational signal, not an invoice.",
        "layout_type": "ordered",
        "reflow_type": "fixed",
        "notify_list": [],
        "tags": [],
        "template_variables": variables,
        "widgets": placed(groups),
    }


def text(document: Dict[str, Any]) -> str:
    """Return the text of a document's file."""
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(dashboard()), encoding="utf-8")
