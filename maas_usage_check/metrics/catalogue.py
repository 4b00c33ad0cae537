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
MODEL = "huawei_maas_model"
MODEL_KEY = "huawei_maas_model_key"
MODEL_HOURLY = "huawei_maas_model_hourly"
MODEL_KEY_HOURLY = "huawei_maas_model_key_hourly"
MODEL_CONSUMED = "huawei_maas_model_consumed"
MODEL_KEY_CONSUMED = "huawei_maas_model_key_consumed"
MODEL_COST_HOURLY = "huawei_maas_model_cost_hourly"
MODEL_KEY_COST_HOURLY = "huawei_maas_model_key_cost_hourly"
MODEL_COST_CONSUMED = "huawei_maas_model_cost_consumed"
MODEL_KEY_COST_CONSUMED = "huawei_maas_model_key_cost_consumed"
API = "huawei_maas_api"
HOUR_TIMESTAMPED = (
    HOURLY, KEY_HOURLY, MODEL_HOURLY, MODEL_KEY_HOURLY, MODEL_COST_HOURLY, MODEL_KEY_COST_HOURLY,
)  # fmt: skip
"""Their points have times of their own, which only Telegraf and JSON can carry: the others count what was consumed."""
MINUTE_TIMESTAMPED = (MODEL, MODEL_KEY)
"""Their points have the time of their minute; where no time is carried, only a recent one may be shown."""

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

MINUTE = (
    Field("requests_per_minute", float, "request", "Calls of the minute."),
    Field("tokens_per_minute", float, "token", "Tokens of the minute, in tokens, not in thousands."),
    Field("prompt_tokens", float, "token", "Tokens sent to the model in the minute."),
    Field("completion_tokens", float, "token", "Tokens that the model returned in the minute."),
    Field("total_tokens", float, "token", "Tokens used in the minute."),
    Field(
        "time_to_first_token_seconds",
        float,
        "second",
        "Mean time to the first token in the minute; streaming answers only.",
    ),
    Field("time_per_output_token_seconds", float, "second", "Mean time per token after it; streaming answers only."),
    Field("latency_seconds", float, "second", "Mean time of a call from end to end in the minute."),
    Field("errors_4xx", float, "error", "Answers of the minute that said the caller was wrong."),
    Field("errors_5xx", float, "error", "Answers of the minute that said the cloud was wrong."),
    Field("error_ratio", float, "fraction", "Failed calls of the minute, 0 to 1, as Cloud Eye works it out."),
)
MODEL_HOURS = (
    *HOURS[:-1],
    Field("settled", int, "", "1 once the hour ended 30 minutes ago and was asked since, else 0."),
)
COST_HOURS = (
    Field("cost", float, "", "Estimated cost of the hour: its tokens times the configured prices, in `currency`."),
)
MODEL_SINCE = (
    ", counted once each, from the hour on in which this plugin first asked for models; comes up to an hour late, and "
    "after an outage all of it comes at once, at the present time."
)
MODEL_COUNTS = tuple(
    Field(field.name, field.kind, field.unit, field.description.replace(SINCE, MODEL_SINCE), COUNT) for field in COUNTS
)
COSTS = (Field("cost", float, "", f"Estimated cost at the configured prices, in `currency`{MODEL_SINCE}", COUNT),)

CATALOGUE: Catalogue = {
    USAGE: TOTALS,
    KEY_USAGE: TOTALS,
    HOURLY: HOURS,
    KEY_HOURLY: HOURS,
    CONSUMED: COUNTS,
    KEY_CONSUMED: COUNTS,
    MODEL: MINUTE,
    MODEL_KEY: MINUTE,
    MODEL_HOURLY: MODEL_HOURS,
    MODEL_KEY_HOURLY: MODEL_HOURS,
    MODEL_CONSUMED: MODEL_COUNTS,
    MODEL_KEY_CONSUMED: MODEL_COUNTS,
    MODEL_COST_HOURLY: COST_HOURS,
    MODEL_KEY_COST_HOURLY: COST_HOURS,
    MODEL_COST_CONSUMED: COSTS,
    MODEL_KEY_COST_CONSUMED: COSTS,
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
