"""The panels of the Grafana dashboards, in the order of the questions: what each shows, in neither query language."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from .asks import (
    COSTS,
    KEYS,
    LABELS,
    MODELS,
    SERVICES,
    Ask,
    Coverage,
    Forecast,
    HourOfDay,
    Minute,
    Rest,
    State,
    Total,
    Used,
)


class Panel(NamedTuple):
    """Show what is asked, by legend. `kind` is Grafana's name of the visualization, `width` is in its 24 columns.

    `empty` is what is said where nothing comes. `since` and `earlier` replace and shift the range that people picked.
    """

    title: str
    description: str
    unit: str
    kind: str
    width: int
    asks: Tuple[Tuple[str, Ask], ...]
    empty: str
    step: str = ""
    since: str = ""
    earlier: str = ""


class Row(NamedTuple):
    """Answer one question."""

    title: str
    panels: Tuple[Panel, ...]


NO_MODELS = "No model was called, or the file lacks models: true"
NO_HOURS = "No hour is known yet, or the file lacks hourly: true"
NO_MODEL_HOURS = "No hour of a model is known yet, or the file lacks models: true and hourly: true"
NO_COST = "No cost is known, or the file lacks prices, models: true and hourly: true"
NO_LABELS = "No label is known, or the file lacks hourly: true, api_keys and per_api_key: true"
NO_COLLECTION = "The collection has not run yet"
MONTH, DAY = "now/M", "now/d"
BY_MODEL = "{model} {region}"
LAG = "The cloud tells 1 to 2 hours late."
CLOUD_EYE = "From Cloud Eye, without custom endpoints and batch inference."
ESTIMATE = "An estimate at the prices of the file, not an invoice; a model without a price has none."
MINUTES = f"In each step the largest minute{{seen}}. {CLOUD_EYE}"
RANGE = "Held for 2 hours where a cycle got no answer. Needs the range {} in the configuration."
BUDGET = "An operational signal, not an invoice."


def _lacks(span: str) -> str:
    return f"Not known, or the file lacks the range {span}"


def _minutes(title: str, unit: str, description: str, *asks: Tuple[str, Ask]) -> Panel:
    return Panel(title, description, unit, "timeseries", 8, asks, NO_MODELS)


def _hours(title: str, unit: str, description: str, *asks: Tuple[str, Ask], step: str = "1h") -> Panel:
    return Panel(title, f"{description} {{late}}", unit, "bars", 12, asks, NO_HOURS, step)


def _state(title: str, description: str, unit: str, field: str, how: str, then: str = "", empty: str = "") -> Panel:
    ask = State(field, how, then)
    return Panel(title, description, unit, "stat", 4, (("{region} {project_id}", ask),), empty or NO_COLLECTION)


def _cycles(title: str, description: str, unit: str, field: str, how: str) -> Panel:
    asks = (("{region} {project_id}", State(field, how)),)
    return Panel(title, description, unit, "timeseries", 8, asks, NO_COLLECTION, "5m")


NOW = Row(
    "Now: is it used, is it slow, what is failing?",
    (
        _minutes(
            "Requests per minute", "reqpm", f"Calls by model. {MINUTES}", (BY_MODEL, Minute("requests_per_minute"))
        ),
        _minutes("Tokens per minute", "short", f"Tokens by model. {MINUTES}", (BY_MODEL, Minute("tokens_per_minute"))),
        _minutes(
            "Errors per minute",
            "short",
            f"Failed calls by model: 4xx are the caller's mistakes and limits, 5xx the cloud's faults. {MINUTES}",
            (f"{BY_MODEL} 4xx", Minute("errors_4xx")),
            (f"{BY_MODEL} 5xx", Minute("errors_5xx")),
        ),
        Panel(
            "Failing now",
            "Share of the calls of the newest complete minute that failed, by model. A model that had no call for "
            f"a quarter of an hour is not there. {CLOUD_EYE}",
            "percentunit",
            "bargauge",
            8,
            ((BY_MODEL, Minute("error_ratio")),),
            NO_MODELS,
        ),
        _minutes(
            "Latency",
            "s",
            f"Mean time of a call from end to end, by model. {MINUTES}",
            (BY_MODEL, Minute("latency_seconds")),
        ),
        _minutes(
            "Time to first token",
            "s",
            f"Mean time until a streaming answer begins, by model. {MINUTES}",
            (BY_MODEL, Minute("time_to_first_token_seconds")),
        ),
    ),
)

MONEY = Row(
    "Today and this month: how much, and is it within the budget?",
    (
        Panel(
            "Tokens today",
            f"Tokens since midnight in the configured time zone. {LAG} {RANGE.format('`today`')}",
            "short",
            "stat",
            4,
            (("today", Total("today")),),
            _lacks("today"),
        ),
        Panel(
            "Tokens of the same day last week, by this time",
            "What the panel beside it showed 7 days ago at this time, with the same lag. " + RANGE.format("`today`"),
            "short",
            "stat",
            4,
            (("a week ago", Total("today")),),
            "Not known a week ago, or the file lacked the range today",
            earlier="7d",
        ),
        Panel(
            "Tokens this month",
            "Tokens of the calendar month in the configured time zone. The cloud keeps 30 days: on the 31st a part of "
            f"the first is missing. {RANGE.format('`this_month`')}",
            "short",
            "stat",
            4,
            (("this month", Total("this_month")),),
            _lacks("this_month"),
        ),
        Panel(
            "Budget used",
            "Tokens of the calendar month as a share of the variable `budget`; above 100 % it is spent. "
            f"{RANGE.format('`this_month`')} {BUDGET}",
            "percentunit",
            "stat",
            4,
            (("budget used", Total("this_month", " / $budget")),),
            _lacks("this_month"),
        ),
        Panel(
            "Forecast for the month",
            "Where the month ends at its pace so far; rough in its first days. {forecast}",
            "short",
            "stat",
            4,
            (("forecast", Forecast()),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Forecast against the budget",
            "Where the month ends at its pace so far, as a share of the variable `budget`. {forecast} " + BUDGET,
            "percentunit",
            "stat",
            4,
            (("forecast", Forecast(" / $budget")),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Cost today",
            f"Since midnight in the dashboard's time zone. {ESTIMATE}",
            "short",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",))),),
            NO_COST,
            since=DAY,
        ),
        Panel(
            "Cost this month",
            f"Of the calendar month in the dashboard's time zone{{since}}. {ESTIMATE}",
            "short",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",))),),
            NO_COST,
            since=MONTH,
        ),
        Panel(
            "Cost against the budget",
            f"Cost of the calendar month as a share of the variable `cost_budget`, per currency{{since}}. {ESTIMATE}",
            "percentunit",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",), then=" / $cost_budget")),),
            NO_COST,
            since=MONTH,
        ),
    ),
)

WHEN = Row(
    "When: which hour, which day?",
    (
        _hours(
            "Tokens per hour",
            "short",
            "Tokens by service type; a bar begins with its hour. Over a long range a bar is more than an hour.",
            ("{service_type}", Used(SERVICES, by=("service_type",))),
        ),
        _hours(
            "Tokens per day",
            "short",
            "Tokens by service type; a bar begins with its day, in {zone}. The first and the last day of the "
            "range may be parts.",
            ("{service_type}", Used(SERVICES, by=("service_type",))),
            step="1d",
        ),
        _hours(
            "Requests per hour",
            "short",
            "Calls by service type; a bar begins with its hour.",
            ("{service_type}", Used(SERVICES, "requests", ("service_type",))),
        ),
        Panel(
            "Failed calls per hour",
            "Errors divided by requests of each hour, by service type; a point is at its hour's beginning. {late}",
            "percentunit",
            "timeseries",
            12,
            (("{service_type}", Used(SERVICES, "errors", ("service_type",), over="requests")),),
            NO_HOURS,
            "1h",
        ),
        Panel(
            "Tokens by hour of the day, last 30 days",
            "A row per hour of the day, a column per day, in {zone}. A blank is not known. {late}",
            "short",
            "status-history",
            24,
            tuple((f"{hour:02}:00", HourOfDay(hour)) for hour in range(24)),
            NO_HOURS,
            "1d",
            "now-29d/d",
        ),
    ),
)


def _share(title: str, description: str, empty: str, *asks: Tuple[str, Ask]) -> Panel:
    return Panel(title, f"{description} In the picked range{{since}}.", "short", "piechart", 8, asks, empty)


WHO = Row(
    "Who: which model, which key, which service?",
    (
        _share(
            "Tokens by model",
            CLOUD_EYE,
            NO_MODEL_HOURS,
            ("{model}", Used(MODELS, by=("model",))),
        ),
        _share(
            "Cost by model",
            ESTIMATE,
            NO_COST,
            ("{model} {currency}", Used(COSTS, "cost", ("model", "currency"))),
        ),
        _share(
            "Tokens by service type",
            "As the console counts them.",
            NO_HOURS,
            ("{service_type}", Used(SERVICES, by=("service_type",))),
        ),
        _share(
            "Tokens by API key",
            f"By the ids of Cloud Eye; no API tells the names of keys. {CLOUD_EYE}{{rest}}",
            NO_MODEL_HOURS,
            ("{api_key}", Used(KEYS, by=("api_key",))),
            ("no key", Rest(MODELS, KEYS)),
        ),
        _share(
            "Tokens by label",
            "By the labels of `api_keys`, as the console counts them.{rest}",
            NO_LABELS,
            ("{api_key_label}", Used(LABELS, by=("api_key_label",))),
            ("no label", Rest(SERVICES, LABELS)),
        ),
        Panel(
            "Requests by model",
            f"Calls. {CLOUD_EYE} In the picked range{{since}}.",
            "short",
            "piechart",
            8,
            (("{model}", Used(MODELS, "requests", ("model",))),),
            NO_MODEL_HOURS,
        ),
    ),
)

COLLECTION = Row(
    "Collection: can these numbers be believed?",
    (
        _state(
            "Collection",
            "Whether the last cycle got any answer. While it is down, nothing new is shown.",
            "none",
            "up",
            "min",
        ),
        _state(
            "Result of the last cycle",
            "Partial: what got no answer keeps its last value. `maas-usage-check doctor` says what is wrong and what "
            "to do.",
            "none",
            "result_code",
            "max",
        ),
        _state(
            "Last answer",
            "How long ago a query was last answered. Over some minutes: see whether the agent still runs the "
            "collection.",
            "dateTimeFromNow",
            "last_success_timestamp_seconds",
            "min",
            " * 1000",
        ),
        _state(
            "The cloud knows until",
            "How long ago the newest hour with use ended: how late the cloud's statistics are, where there is use.",
            "dateTimeFromNow",
            "newest_usage_timestamp_seconds",
            "max",
            " * 1000",
            NO_HOURS,
        ),
        _state(
            "Missing hours",
            "Hours that are over and not known yet. At first they fall to 0; where they do not, a warning says why.",
            "short",
            "missing_hours",
            "max",
            empty=NO_HOURS,
        ),
        Panel(
            "Covered by the cloud's memory",
            "Share of each range that the cloud still keeps (30 days). Below 100 % the range's total is too small.",
            "percentunit",
            "stat",
            4,
            (("{range}", Coverage()),),
            NO_COLLECTION,
        ),
        _cycles("Calls per cycle", "HTTP requests that a cycle sent to the cloud.", "short", "http_requests", "max"),
        _cycles(
            "Failed queries",
            "Questions of a cycle that the cloud did not answer; their series have no new value.",
            "short",
            "failed_queries",
            "max",
        ),
        _cycles(
            "Duration of a cycle",
            "Near the `deadline` of the configuration, ask less or less often.",
            "s",
            "duration_seconds",
            "max",
        ),
    ),
)

ROWS = (NOW, MONEY, WHEN, WHO, COLLECTION)
