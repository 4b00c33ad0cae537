"""The catalogue: every measurement and field, with its type, unit, nature and description."""

from __future__ import annotations

from typing import Mapping, Tuple

from msgspec import Struct

GAUGE, COUNT = "gauge", "count"
"""A gauge may be emitted again; a count emits each unit once. The values are method names of the Datadog Agent."""


class Field(Struct, frozen=True):
    """One field. `kind` is int or float, the same in all measurements: databases refuse a field with two types."""

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
BUDGET = "huawei_maas_budget"
API = "huawei_maas_api"
HOUR_TIMESTAMPED = (
    HOURLY, KEY_HOURLY, MODEL_HOURLY, MODEL_KEY_HOURLY, MODEL_COST_HOURLY, MODEL_KEY_COST_HOURLY,
)  # fmt: skip
"""Points with the time of their hour: only for Telegraf and JSON. The other surfaces get the `_consumed` counts."""
MINUTE_TIMESTAMPED = (MODEL, MODEL_KEY)
"""Points with the time of their minute. Formats without a time may show only a recent one: see `points`."""

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
        "Errors divided by requests, 0 to 1; 0 without requests; not emitted where errors exceed requests.",
    ),
    Field("coverage_ratio", float, "fraction", "Share of the range's past that the cloud still stores, 0 to 1."),
)

HOURS = (
    Field("total_tokens", int, "token", "Tokens used in the hour that begins at the point's time."),
    Field("prompt_tokens", int, "token", "Tokens sent to the models in the hour."),
    Field("completion_tokens", int, "token", "Tokens that the models returned in the hour."),
    Field("requests", int, "request", "Calls in the hour."),
    Field("errors", int, "error", "Calls in the hour that failed."),
    Field("settled", int, "", "1 once the hour ended 3 hours ago and was queried since, else 0."),
)
SINCE = (
    " since the hour in which this plugin first recorded the series, each counted once; 1 to 3 hours late, and after "
    "an outage all at once, at the present time."
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
    Field("prompt_tokens_per_minute", float, "token", "Tokens sent to the model in the minute."),
    Field("completion_tokens_per_minute", float, "token", "Tokens that the model returned in the minute."),
    Field(
        "time_to_first_token_seconds",
        float,
        "second",
        "Mean time to the first token in the minute; streaming calls only.",
    ),
    Field(
        "time_per_output_token_seconds", float, "second", "Mean time per token after the first; streaming calls only."
    ),
    Field("latency_seconds", float, "second", "Mean time of a call from end to end in the minute."),
    Field("errors_4xx", float, "error", "Calls of the minute that failed with HTTP 4xx, an error of the caller."),
    Field("errors_5xx", float, "error", "Calls of the minute that failed with HTTP 5xx, an error of the cloud."),
    Field(
        "error_ratio", float, "fraction", "Share of the minute's calls that failed, 0 to 1, as Cloud Eye calculates it."
    ),
    Field(
        "requests_limit_ratio",
        float,
        "fraction",
        "Calls of the minute divided by the model's limit of requests a minute. Only with `limits`.",
    ),
    Field(
        "tokens_limit_ratio",
        float,
        "fraction",
        "Tokens of the minute divided by the model's limit of tokens a minute. Only with `limits`.",
    ),
)
MODEL_HOURS = (
    *HOURS[:-1],
    Field("settled", int, "", "1 once the hour ended 30 minutes ago and was queried since, else 0."),
)
CACHED_AS_ORDINARY = "Cached input is priced as ordinary input, so the true cost is lower."
"""A person who sees a cost without `cached_share` reads it."""
NO_CACHED_SHARE = f"Without `cached_share`, {CACHED_AS_ORDINARY[0].lower()}{CACHED_AS_ORDINARY[1:]}"
"""The same where it is not known whether `cached_share` is configured."""
COST_HOURS = (
    Field(
        "cost",
        float,
        "",
        f"Estimated cost of the hour: its tokens times the configured prices, in `currency`. {NO_CACHED_SHARE}",
    ),
    Field("prompt_cost", float, "", f"Estimated cost of the hour's prompt tokens, in `currency`. {NO_CACHED_SHARE}"),
    Field("completion_cost", float, "", "Estimated cost of the hour's completion tokens, in `currency`."),
)
MODEL_SINCE = (
    " since the hour in which this plugin first queried the models, each counted once; up to an hour late, and after "
    "an outage all at once, at the present time."
)
MODEL_COUNTS = tuple(
    Field(field.name, field.kind, field.unit, field.description.replace(SINCE, MODEL_SINCE), COUNT) for field in COUNTS
)
COSTS = (
    Field(
        "cost",
        float,
        "",
        f"Estimated cost at the configured prices, in `currency`{MODEL_SINCE} {NO_CACHED_SHARE}",
        COUNT,
    ),
    Field(
        "prompt_cost",
        float,
        "",
        f"Estimated cost of prompt tokens at the configured prices, in `currency`{MODEL_SINCE} {NO_CACHED_SHARE}",
        COUNT,
    ),
    Field(
        "completion_cost",
        float,
        "",
        f"Estimated cost of completion tokens at the configured prices, in `currency`{MODEL_SINCE}",
        COUNT,
    ),
)
BUDGETS = (
    Field("limit", float, "", "Budget of the calendar month, in `unit`."),
    Field(
        "used",
        float,
        "",
        f"Sum of the month's known hours, in `unit`; cost is an estimate. {NO_CACHED_SHARE}",
    ),
    Field("used_ratio", float, "fraction", "Share of the budget that is used; 1 is all of it."),
    Field(
        "forecast",
        float,
        "",
        "Expected use at the end of the month: `used`, and the rest of the month at the mean of the last 7 days.",
    ),
    Field("forecast_ratio", float, "fraction", "Forecast divided by the budget."),
    Field(
        "covered_ratio",
        float,
        "fraction",
        "Share of the month's hours that ended at least 3 hours ago and are known; below 1, `used` is too low.",
    ),
    Field(
        "period_start_timestamp_seconds",
        float,
        "second",
        "Beginning of the month in the configured zone, in seconds since 1970.",
    ),
    Field(
        "exhausted_timestamp_seconds",
        float,
        "second",
        "Time when the budget is used up, in seconds since 1970; only where that is within the month.",
    ),
)

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
    BUDGET: BUDGETS,
    API: (
        Field("up", int, "", "1 if at least one query of the cycle succeeded, else 0."),
        Field(
            "result_code", int, "", "0 if the whole cycle succeeded, 1 if a part of it did, else the kind of failure."
        ),
        Field("queries", int, "query", "Distinct queries of the cycle."),
        Field("failed_queries", int, "query", "Queries of the cycle that failed."),
        Field("http_requests", int, "request", "HTTP requests that the cycle sent."),
        Field("duration_seconds", float, "second", "How long the cycle took."),
        Field(
            "last_success_timestamp_seconds", int, "second", "Time when a query last succeeded, in seconds since 1970."
        ),
        Field(
            "newest_usage_timestamp_seconds",
            int,
            "second",
            "End of the newest hour with use, in seconds since 1970: shows the cloud's delay. Only with `hourly`.",
        ),
        Field(
            "missing_hours",
            int,
            "hour",
            "Hours of all series that have ended but are not known yet. Only with `hourly`.",
        ),
    ),
}
