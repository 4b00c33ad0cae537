"""The panels of the Grafana dashboards: what each shows and asks, in neither query language."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from maas_usage_check.metrics import API, KEY_USAGE, USAGE

FILTERS = ("region", "project_id", "service_type", "infer_type")
SAME = ("range", *FILTERS)
"""What tells series of usage apart; those that agree in it are one, whatever tags of the user's they carry."""
ANY = ".+"
"""Every range at once: then the query groups by `range`, for ranges overlap and must not be added up."""


class Query(NamedTuple):
    """Ask for one field: over the series of each group in `by`, divided by the field `over`, then `then`.

    `rest` asks for what no label covers, the whole less all labels, where the language can subtract.
    """

    legend: str
    field: str
    by: Tuple[str, ...] = ()
    span: str = "$range"
    how: str = "sum"
    over: Optional[str] = None
    then: str = ""
    rest: bool = False
    measurement: str = USAGE

    @property
    def adds_up(self) -> bool:
        """Tell whether it adds series of usage up."""
        return self.measurement != API and self.how == "sum"


class Panel(NamedTuple):
    """Show queries. `kind` is Grafana's name of the visualization, `width` is in its 24 columns."""

    title: str
    description: str
    unit: str
    kind: str
    width: int
    queries: Tuple[Query, ...]


def _health(field: str, how: str, then: str = "") -> Query:
    return Query("{region} {project_id}", field, ("region", "project_id"), how=how, then=then, measurement=API)


OVERLAP = "Ranges overlap: never add them up."
SUMS = (
    "What a partial cycle got no answer for keeps its last value for 2 hours. Instances of one project that differ by "
    "a filter (`api_keys` without `per_api_key`, `ips`) show as the largest of them; `per_api_key` tells keys apart."
)
"""Said of every panel that adds up."""
TODAY = "Needs the range `today` in the configuration"

PANELS = (
    Panel(
        "Tokens per range",
        f"Tokens used in each configured range, up to now. {OVERLAP} The cloud's statistics lag 1 to 2 hours.",
        "short",
        "bargauge",
        8,
        (Query("{range}", "total_tokens", ("range",), ANY),),
    ),
    Panel(
        "Budget used",
        "Tokens of the last 30 days as a share of the variable `budget`. Needs the range `last_30d`. "
        "An operational signal, not an invoice.",
        "percentunit",
        "gauge",
        5,
        (Query("budget used", "total_tokens", span="last_30d", then=" / $budget"),),
    ),
    Panel(
        "Today against the daily mean",
        f"Tokens of today so far beside the mean day of the last 7 and 30 days. {TODAY}, and `last_7d` and `last_30d`. "
        "Today is not over, and its newest 1 to 2 hours are not there yet.",
        "short",
        "bargauge",
        6,
        (
            Query("today so far", "total_tokens", span="today"),
            Query("mean day of the last 7", "total_tokens", span="last_7d", then=" / 7"),
            Query("mean day of the last 30", "total_tokens", span="last_30d", then=" / 30"),
        ),
    ),
    Panel(
        "Result of the last cycle",
        "0 is well. 1 is partial: the panels hold the last value of each series that got no answer. Any other number "
        "is the kind of failure. `maas-usage-check doctor` says what to do.",
        "none",
        "stat",
        5,
        (_health("result_code", "max"),),
    ),
    Panel(
        "Tokens over time",
        f"How the total of each range moves. A rolling range falls when busy hours leave it. {OVERLAP}",
        "short",
        "timeseries",
        12,
        (Query("{range}", "total_tokens", ("range",), ANY),),
    ),
    Panel(
        "Prompt against completion",
        "Tokens sent to the models and tokens they returned, in the chosen range. The cloud's total can be more.",
        "short",
        "timeseries",
        12,
        (Query("prompt", "prompt_tokens"), Query("completion", "completion_tokens")),
    ),
    Panel(
        "Requests",
        "Calls in the chosen range.",
        "short",
        "timeseries",
        8,
        (Query("requests", "requests"),),
    ),
    Panel(
        "Errors",
        "Calls in the chosen range that failed.",
        "short",
        "timeseries",
        8,
        (Query("errors", "errors"),),
    ),
    Panel(
        "Error ratio",
        "Errors divided by requests in the chosen range, as on the console; 0 when nothing was asked.",
        "percentunit",
        "timeseries",
        8,
        (Query("error ratio", "errors", over="requests"),),
    ),
    Panel(
        "Tokens by service type",
        "Tokens in the chosen range by kind of service. Needs several `service_types` in the configuration.",
        "short",
        "bargauge",
        12,
        (Query("{service_type}", "total_tokens", ("service_type",)),),
    ),
    Panel(
        "Tokens by API key",
        "Tokens in the chosen range by the label of the API key, beside all of them; what no label covers is the "
        "difference. Needs `per_api_key` in the configuration. The variable `api_key` filters the labels here, and "
        "nothing else.",
        "short",
        "bargauge",
        12,
        (
            Query("{api_key_label}", "total_tokens", ("api_key_label",), measurement=KEY_USAGE),
            Query("all keys", "total_tokens"),
            Query("other keys", "total_tokens", rest=True),
        ),
    ),
    Panel(
        "Collection up",
        "Whether the last cycle got any answer. While it is down the panels above show nothing new.",
        "none",
        "stat",
        8,
        (_health("up", "min"),),
    ),
    Panel(
        "Last success",
        "How long ago a query was last answered. Over some minutes: see whether the agent still runs the collection.",
        "dateTimeFromNow",
        "stat",
        8,
        (_health("last_success_timestamp_seconds", "min", " * 1000"),),
    ),
    Panel(
        "Covered by the cloud's memory",
        "Share of each range that the cloud still keeps (30 days). Below 100 % the range's totals are too small.",
        "percentunit",
        "stat",
        8,
        (Query("{range}", "coverage_ratio", ("range",), ANY, how="min"),),
    ),
    Panel(
        "Failed queries",
        "Questions of a cycle that the cloud did not answer; their series have no new value.",
        "short",
        "timeseries",
        12,
        (_health("failed_queries", "sum"),),
    ),
    Panel(
        "Duration of a cycle",
        "How long a cycle takes. Near the `deadline` of the configuration, ask less or less often.",
        "s",
        "timeseries",
        12,
        (_health("duration_seconds", "max"),),
    ),
)
