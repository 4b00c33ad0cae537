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
API = "huawei_maas_api"

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

CATALOGUE: Catalogue = {
    USAGE: TOTALS,
    KEY_USAGE: TOTALS,
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
    ),
}
