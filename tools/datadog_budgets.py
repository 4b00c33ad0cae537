"""The groups of the Datadog dashboard about the month: use, budgets, and who owes what."""

from __future__ import annotations

from typing import Tuple

from maas_usage_check.metrics import (
    BUDGET,
    KEY_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    NO_CACHED_SHARE,
)
from maas_usage_check.metrics.datadog import metric_name

from .datadog_queries import PER_DAY, PER_HOUR, ZONE, Sum, counted, earlier, services
from .datadog_widgets import BAD, OK, WARN, Widget, note, pie, series, toplist

SPENT = ((">", 100, BAD), (">", 80, WARN), ("<=", 80, OK))
COVERED = (("<", 99, WARN), (">=", 99, OK))
MONTH = "month_to_date"
HOLD = "1h"
COST = counted(MODEL_COST_CONSUMED, "cost", ("currency",))
OF_ALL, OF_TEAM, OWNER = ("unit",), ("team", "unit"), ("team", "cost_center")
KEY = (*OWNER, "api_key", "model")


def budget(field: str, by: Tuple[str, ...], how: str = "max") -> str:
    """Write a query for a field of the budgets of all, or of the teams."""
    scope = "team" if "team" in by else "all"
    return f"{how}:{metric_name(BUDGET, field)}{{$region,$project_id,scope:{scope}}} by {{{','.join(by)}}}"


def budgets(width: int, of: str, by: Tuple[str, ...]) -> Tuple[Widget, ...]:
    """List the budgets of all, or of the teams: how much is used, expected and known, and when they are used up."""
    begins = budget("period_start_timestamp_seconds", by)
    exhausted = budget("exhausted_timestamp_seconds", by, "min")
    return (
        toplist(width, f"Budget{of} used, %", "100 * a", SPENT, HOLD, a=budget("used_ratio", by)),
        toplist(width, f"Forecast{of}, % of the budget", "100 * a", SPENT, HOLD, a=budget("forecast_ratio", by)),
        toplist(
            width,
            f"Hours of the month{of} that are known, %",
            "100 * a",
            COVERED,
            HOLD,
            a=budget("covered_ratio", by, "min"),
        ),
        toplist(
            width,
            f"Day of the month on which the budget{of} is used up",
            "(a - b) / 86400 + 1",
            span=HOLD,
            a=exhausted,
            b=begins,
        ),
    )


def month(query: str) -> Widget:
    """Draw the sum of a count since the month began, over that of the month before."""
    title = "Cost" if ".cost{" in query else "Tokens"
    return series(
        6,
        f"{title} since the month began, and a month earlier",
        ("this month", query),
        ("a month earlier", query),
        shifted={"this month": "cumsum(a)", "a month earlier": f"cumsum(calendar_shift(a, '-1mo', '{ZONE}'))"},
        span=MONTH,
    )


MONTH_GROUP: Tuple[str, Tuple[Widget, ...]] = (
    "Today and this month: how much, and is it within the budget?",
    (
        note(
            "Calendar days and months in the configured time zone; the cloud reports usage 1 to 2 hours late. Tokens "
            "need the ranges `today` and `this_month`, budgets `budget` in the configuration. Values are kept for an "
            "hour if a query fails; so for up to an hour after midnight they are those of the day before."
        ),
        note(
            "Budgets are those of the configuration; where hours are not known, used and forecast are too low. Cost is "
            "an estimate at the configured `prices`, counted since the plugin first ran. An operational signal, not an "
            f"invoice. {NO_CACHED_SHARE}"
        ),
        toplist(4, "Tokens today", span=HOLD, a=Sum("total_tokens", span="today")),
        toplist(4, "Tokens this month", span=HOLD, a=Sum("total_tokens", span="this_month")),
        toplist(4, "Cost this month", span=MONTH, a=COST),
        *budgets(3, "", OF_ALL),
        series(
            6,
            "Use of the month, forecast and budget",
            ("used", budget("used", OF_ALL)),
            ("forecast", budget("forecast", OF_ALL)),
            ("budget", budget("limit", OF_ALL)),
        ),
        series(
            6,
            "Tokens per hour, and a week earlier",
            ("tokens", services(rollup=PER_HOUR, by=())),
            ("a week earlier", services(rollup=PER_HOUR, by=())),
            shifted={"a week earlier": earlier("a", days=7)},
        ),
        month(services(rollup=PER_DAY, by=())),
        month(counted(MODEL_COST_CONSUMED, "cost", ("currency",), PER_DAY)),
    ),
)

OWNERS_GROUP: Tuple[str, Tuple[Widget, ...]] = (
    "Who owes what: which team, cost centre, key and model?",
    (
        note(
            "This month, counted since the plugin first ran. Teams are those of `teams` in the configuration, "
            "`unassigned` is of labels and keys without one. Cost and models need `models: true`, and the label of a "
            f"key in `key_names`. {NO_CACHED_SHARE}"
        ),
        pie(6, "Tokens by team and cost centre", MONTH, a=counted(KEY_CONSUMED, "tokens", OWNER)),
        pie(6, "Cost by team and cost centre", MONTH, a=counted(MODEL_KEY_COST_CONSUMED, "cost", (*OWNER, "currency"))),
        toplist(6, "Tokens by team, key and model", span=MONTH, a=counted(MODEL_KEY_CONSUMED, "tokens", KEY)),
        toplist(
            6,
            "Cost by team, key and model",
            span=MONTH,
            a=counted(MODEL_KEY_COST_CONSUMED, "cost", (*KEY, "currency")),
        ),
        toplist(4, "Budget by team", span=HOLD, a=budget("limit", OF_TEAM)),
        *budgets(4, " by team", OF_TEAM),
    ),
)
