"""Write the Datadog dashboard: `python -m tools.datadog`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, KEY_USAGE, USAGE
from maas_usage_check.metrics.datadog import metric_name

from .datadog_queries import PROJECT, Each, Sum
from .datadog_widgets import Widget, note, placed, ratio, series, toplist, value
from .panels import SUMS

FOLDER = Path(__file__).parent.parent / "maas_usage_check" / "assets" / "datadog"
FILE = FOLDER / "dashboards" / "maas_usage.json"
OK, WARN, BAD = "white_on_green", "white_on_yellow", "white_on_red"
HIGH_RATIO = ((">", 0.1, BAD), (">", 0.05, WARN), ("<=", 0.05, OK))
NOT_ZERO = ((">", 0, WARN), ("<=", 0, OK))
BY_SERVICE, BY_KEY = ((*PROJECT, "service_type"), (*PROJECT, "api_key_label"))
SPANS = ("7d", "14d", "30d")


def health(how: str, field: str, by: str = "") -> str:
    """Write a query over the instances' own state."""
    return f"{how}:{metric_name(API, field)}{{$region}}{by}"


CODES = ", ".join(f"{result.value} {result.name.lower().replace('_', ' ')}" for result in Result)
GROUPS: Tuple[Tuple[str, Tuple[Widget, ...]], ...] = (
    (
        "Totals per range",
        (
            note(
                "Each value is the total of a whole range that moves on with time, not an increase: never add points "
                "up over time. The cloud's statistics lag 1 to 2 hours. Other ranges: edit `range:` in the widgets."
            ),
            note(
                f"{SUMS} Lists show the largest total of the last 4 hours. Where the result code is 1, a cycle was "
                "partial: see the group Health."
            ),
            *(toplist(3, f"Tokens, last {span}", a=Sum("total_tokens", span=f"last_{span}")) for span in SPANS),
            value(3, "Result code, 1 is partial", health("max", "result_code"), formats=NOT_ZERO),
            *(toplist(4, f"Requests, last {span}", a=Sum("requests", span=f"last_{span}")) for span in SPANS),
            series(12, "Tokens by range", ("tokens", Sum("total_tokens", (*PROJECT, "range")))),
        ),
    ),
    (
        "Prompt against completion",
        (
            series(
                6,
                "Prompt and completion tokens, last 7d",
                ("prompt", Sum("prompt_tokens", span="last_7d")),
                ("completion", Sum("completion_tokens", span="last_7d")),
                display="area",
            ),
            ratio(
                6,
                "Completion tokens per prompt token, last 7d",
                "completion / prompt",
                Each("completion_tokens", "last_7d"),
                Each("prompt_tokens", "last_7d"),
            ),
        ),
    ),
    (
        "Errors",
        (
            *(
                toplist(
                    4,
                    f"Error ratio, last {span}",
                    "a / b",
                    HIGH_RATIO,
                    a=Sum("errors", span=f"last_{span}"),
                    b=Sum("requests", span=f"last_{span}"),
                )
                for span in SPANS
            ),
            series(6, "Errors by range", ("errors", Sum("errors", (*PROJECT, "range"))), display="bars"),
            ratio(
                6,
                "Error ratio by service type, last 7d",
                "errors / requests",
                Each("errors", "last_7d"),
                Each("requests", "last_7d"),
                markers=[{"value": "y = 0.1", "display_type": "error dashed", "label": "monitor"}],
            ),
        ),
    ),
    (
        "By service type and by API key",
        (
            note(
                "API keys need `per_api_key` in the configuration; the variable `api_key` filters them here, and "
                "nothing else. What no label covers is the total less its labels."
            ),
            toplist(4, "Tokens by service type, last 7d", a=Sum("total_tokens", BY_SERVICE, "last_7d")),
            toplist(4, "Tokens by API key, last 7d", a=Sum("total_tokens", BY_KEY, "last_7d", KEY_USAGE)),
            toplist(4, "Errors by API key, last 7d", a=Sum("errors", BY_KEY, "last_7d", KEY_USAGE)),
            series(
                6,
                "Tokens by service type, last 7d, over time",
                ("tokens", Sum("total_tokens", BY_SERVICE, "last_7d")),
                display="area",
            ),
            series(
                6,
                "Tokens by API key, last 7d, over time",
                ("tokens", Sum("total_tokens", BY_KEY, "last_7d", KEY_USAGE)),
                display="area",
            ),
        ),
    ),
    (
        "Health of the collection",
        (
            note(f"`result_code`: {CODES}. Only the region filters here."),
            value(4, "Up (worst instance)", health("min", "up"), formats=(("<", 1, BAD), (">=", 1, OK))),
            value(4, "Failed queries of the last cycle", health("sum", "failed_queries"), formats=NOT_ZERO),
            value(
                4,
                "Part of the range that the cloud still keeps",
                f"min:{metric_name(USAGE, 'coverage_ratio')}{{$region,$project_id,$service_type}}",
                3,
            ),
            series(4, "Up by region", ("up", health("min", "up", " by {region}"))),
            series(
                4,
                "Queries, and those that failed",
                ("queries", health("sum", "queries")),
                ("failed", health("sum", "failed_queries")),
                display="bars",
            ),
            series(4, "Result code by region", ("code", health("max", "result_code", " by {region}"))),
            series(4, "HTTP requests per cycle", ("requests", health("sum", "http_requests")), display="bars"),
            series(4, "Duration of a cycle", ("seconds", health("max", "duration_seconds", " by {region}"))),
            series(
                4,
                "Last success, seconds since 1970",
                ("last success", health("min", "last_success_timestamp_seconds", " by {region}")),
            ),
        ),
    ),
)
VARIABLES = {"region": "region", "project_id": "project_id", "service_type": "service_type", "api_key": "api_key_label"}


def dashboard() -> Dict[str, Any]:
    """Make the dashboard as its API takes it."""
    variables = [
        {"name": name, "prefix": prefix, "available_values": [], "defaults": ["*"]}
        for name, prefix in VARIABLES.items()
    ]
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
        "description": "Tokens, requests and errors that a team spends on Huawei Cloud MaaS, by range, service "
        "type and API key, and the health of their collection by maas-usage-check.",
        "layout_type": "ordered",
        "reflow_type": "fixed",
        "notify_list": [],
        "tags": [],
        "template_variables": variables,
        "widgets": placed(groups),
    }


def text(document: Dict[str, Any]) -> str:
    """Write a document as its file holds it."""
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(dashboard()), encoding="utf-8")
