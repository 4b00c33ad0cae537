"""The catalogue: every measurement and field, with its type, unit, nature and meaning."""

from __future__ import annotations

from typing import Mapping, Tuple

from msgspec import Struct

GAUGE, COUNT = "gauge", "count"
"""A gauge may be repeated; of a count each unit is emitted once. The words are those of the Datadog Agent's methods."""


class Field(Struct, frozen=True):
    """Describe one field. `kind` is int or float and never changes: stores refuse a field that changes its type."""

    name: str
    kind: type
    unit: str
    description: str
    nature: str = GAUGE


Catalogue = Mapping[str, Tuple[Field, ...]]

USAGE = "huawei_maas_usage"
KEY_USAGE = "huawei_maas_key_usage"
HOURLY = "huawei_maas_hourly"
KEY_HOURLY = "huawei_maas_key_hourly"
CONSUMED = "huawei_maas_consumed"
KEY_CONSUMED = "huawei_maas_key_consumed"
API = "huawei_maas_api"
AT_THEIR_HOUR = (HOURLY, KEY_HOURLY)
"""Their points have times of their own, which only Telegraf and JSON can carry: the others count what was consumed."""

TOTALS = (
    Field("total_tokens", int, "token", "Tokens used in the range, as the console counts them."),
    Field("prompt_tokens", int, "token", "Tokens sent to the models in the range."),
    Field("completion_tokens", int, "token", "Tokens that the models returned in the range."),
    Field("requests", int, "request", "Calls in the range."),
    Field("errors", int, "error", "Calls in the range that failed."),
    Field("completed_batch_tasks", int, "task", "Batch tasks completed in the range, where the cloud reports them."),
    Field("inferences", int, "", "Inferences of batch tasks in the range, where the cloud reports them."),
    Field(
        "error_ratio",
        float,
        "fraction",
        "Errors divided by requests, 0 to 1; 0 when nothing was asked; left out where errors exceed requests.",
    ),
    Field("coverage_ratio", float, "fraction", "Share of the range's past that the cloud still keeps, 0 to 1."),
)

HOURS = (
    Field("total_tokens", int, "token", "Tokens used in the hour that begins at the point's time."),
    Field("prompt_tokens", int, "token", "Tokens sent to the models in the hour."),
    Field("completion_tokens", int, "token", "Tokens that the models returned in the hour."),
    Field("requests", int, "request", "Calls in the hour."),
    Field("errors", int, "error", "Calls in the hour that failed."),
    Field("settled", int, "", "1 once the hour ended 3 hours ago and was asked since, else 0."),
)
SINCE = (
    ", counted once each, from the hour on in which this plugin first kept the series; comes 1 to 3 hours late, and "
    "after an outage all of it comes at once, at the present time."
)
COUNTS = (
    Field("tokens", int, "token", f"Tokens used{SINCE}", COUNT),
    Field("prompt_tokens", int, "token", f"Tokens sent to the models{SINCE}", COUNT),
    Field("completion_tokens", int, "token", f"Tokens that the models returned{SINCE}", COUNT),
    Field("requests", int, "request", f"Calls{SINCE}", COUNT),
    Field("errors", int, "error", f"Calls that failed{SINCE}", COUNT),
)

CATALOGUE: Catalogue = {
    USAGE: TOTALS,
    KEY_USAGE: TOTALS,
    HOURLY: HOURS,
    KEY_HOURLY: HOURS,
    CONSUMED: COUNTS,
    KEY_CONSUMED: COUNTS,
    API: (
        Field("up", int, "", "1 when at least one query of the cycle was answered, else 0."),
        Field("result_code", int, "", "0 when all went well, 1 when part did, else the kind of failure."),
        Field("queries", int, "query", "Distinct questions that the cycle had to ask."),
        Field("failed_queries", int, "query", "Questions of the cycle that were not answered."),
        Field("http_requests", int, "request", "HTTP requests that the cycle sent."),
        Field("duration_seconds", float, "second", "How long the cycle took."),
        Field(
            "last_success_timestamp_seconds", int, "second", "When a query was last answered, in seconds since 1970."
        ),
        Field(
            "newest_usage_timestamp_seconds",
            int,
            "second",
            "End of the newest hour with use, in seconds since 1970: how late the cloud is, with `hourly`.",
        ),
        Field("missing_hours", int, "hour", "Hours of all series that are over but not known yet, with `hourly`."),
    ),
}
