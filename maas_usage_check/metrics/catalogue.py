"""The catalogue: every measurement and field, with its type, unit and meaning; and the points made from it."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Tuple, Union

from msgspec import Struct

from ..cloud.usage import Usage

Number = Union[int, float]


class Field(Struct, frozen=True):
    """Describe one field. `kind` is int or float and never changes: stores refuse a field that changes its type.

    `nature` is `gauge`, which may be repeated, or `count`, of which each unit is emitted once.
    """

    name: str
    kind: type
    unit: str
    description: str
    nature: str = "gauge"


class Point(Struct, frozen=True):
    """Hold one point of output: tags and fields of a measurement at a time in nanoseconds since 1970."""

    measurement: str
    tags: Dict[str, str]
    fields: Dict[str, Number]
    time: int


USAGE = "huawei_maas_usage"
KEY_USAGE = "huawei_maas_key_usage"
API = "huawei_maas_api"
OWN_TAGS = ("range", "service_type", "infer_type", "region", "project_id", "api_key_label")

TOTALS = (
    Field("total_tokens", int, "token", "Tokens used in the range, as the console counts them."),
    Field("prompt_tokens", int, "token", "Tokens sent to the models in the range."),
    Field("completion_tokens", int, "token", "Tokens that the models returned in the range."),
    Field("requests", int, "request", "Calls in the range."),
    Field("errors", int, "error", "Calls in the range that failed."),
    Field("completed_batch_tasks", int, "task", "Batch tasks completed in the range, where the cloud reports them."),
    Field("inferences", int, "", "Inferences of batch tasks in the range, where the cloud reports them."),
    Field("error_ratio", float, "fraction", "Errors divided by requests, 0 to 1; 0 when nothing was asked."),
    Field("coverage_ratio", float, "fraction", "Share of the range's past that the cloud still keeps, 0 to 1."),
)

CATALOGUE: Mapping[str, Tuple[Field, ...]] = {
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


def plain_name(key: str) -> str:
    """Write a tag's key in the letters that every format takes: two keys that come out alike are one somewhere."""
    name = re.sub("[^A-Za-z0-9_]", "_", key)
    # With a digit no Prometheus label begins, with two underscores only its own.
    return f"tag_{name}" if name[:1].isdigit() or name.startswith("__") else name


def usage_point(measurement: str, tags: Dict[str, str], usage: Usage, coverage: float, time: int) -> Point:
    """Make the point of one series."""
    values = {name: getattr(usage, name) for name in usage.__struct_fields__}
    fields = {**values, "error_ratio": usage.error_ratio, "coverage_ratio": coverage}
    return Point(measurement, tags, {name: value for name, value in fields.items() if value is not None}, time)
