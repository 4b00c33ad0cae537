"""Today and this month: tokens and cost, beside those of last week and month, and the budgets."""

from __future__ import annotations

from maas_usage_check.metrics import NO_CACHED_SHARE

from ..panel_queries import COSTS, Budget, Total, Used
from .panel import ESTIMATE, NO_BUDGET, NO_COST, PICKED, Panel, Row, table

MONTH, DAY = "now/M", "now/d"
A_MONTH, A_WEEK = "1M", "7d"
LAG = "The cloud reports usage 1 to 2 hours late."
RANGE = "Keeps its last value for 2 hours if a query fails. Needs the range {} in the configuration."
OF_MONTH = "The cloud keeps 30 days: on the 31st a part of the 1st is missing."
KEPT = "Keeps its last value for 2 hours if the collection fails."
SIGNAL = f"An operational signal, not an invoice. {NO_CACHED_SHARE}"
COST = Used(COSTS, "cost", ("currency",))


def _tokens(title: str, text: str, span: str, legend: str, earlier: str = "") -> Panel:
    description = f"{text} {RANGE.format(f'`{span}`')}"
    verb = "was" if earlier else "is"
    empty = f"No value {legend if earlier else 'yet'}, or the range {span} {verb} missing in the configuration"
    return Panel(title, description, "short", "stat", 6, ((legend, Total(span)),), empty, earlier=earlier)


def _cost(title: str, text: str, since: str, earlier: str = "") -> Panel:
    description = f"{text} {PICKED} {ESTIMATE}"
    queries = (("{currency}", COST),)
    return Panel(title, description, "short", "stat", 8, queries, NO_COST, since=since, earlier=earlier)


def _ratios(title: str, description: str, field: str) -> Panel:
    queries = (("{scope} {team} {unit} {region}", Budget(field)),)
    return Panel(title, f"{description} {KEPT} {SIGNAL}", "percentunit", "bargauge", 12, queries, NO_BUDGET)


BUDGET = Row(
    "Today and this month: how much, and is it within the budget?",
    (
        _tokens("Tokens today", f"Tokens since midnight in the configured time zone. {LAG}", "today", "today"),
        _tokens(
            "Tokens of the same day last week, by this time",
            "The value of *Tokens today* 7 days ago at this time, with the same delay.",
            "today",
            "a week ago",
            A_WEEK,
        ),
        _tokens(
            "Tokens this month",
            f"Tokens of the calendar month in the configured time zone. {OF_MONTH}",
            "this_month",
            "this month",
        ),
        _tokens(
            "Tokens last month, by this time",
            "The value of *Tokens this month* a month ago at this time, with the same delay.",
            "this_month",
            "a month ago",
            A_MONTH,
        ),
        _cost("Cost today", "Cost since midnight in the dashboard's time zone.", DAY),
        _cost("Cost this month", "Cost of the calendar month in the dashboard's time zone{since}.", MONTH),
        _cost(
            "Cost last month, by this time",
            "Cost of the last calendar month up to the same day and time{since}.",
            MONTH,
            A_MONTH,
        ),
        _ratios(
            "Budget used",
            "The calendar month's use as a share of each `budget` of the configuration, of all or of a team.",
            "used_ratio",
        ),
        _ratios(
            "Forecast against the budget",
            "The use at the end of the month as a share of each budget: the month so far, and its rest at the rate of "
            "the last 7 days.",
            "forecast_ratio",
        ),
        table(
            "Budgets",
            "Each budget of the configuration, of the calendar month. *Covered* is the share of the month's hours that "
            "are known: below 100 % used and forecast are too low. *Exhausted on* is empty if that is not within the "
            f"month. {KEPT} {SIGNAL}",
            NO_BUDGET,
            ("Budget", Budget("limit"), "short"),
            ("Used", Budget("used"), "short"),
            ("Used of the budget", Budget("used_ratio"), "percentunit"),
            ("Forecast", Budget("forecast"), "short"),
            ("Forecast of the budget", Budget("forecast_ratio"), "percentunit"),
            ("Covered", Budget("covered_ratio"), "percentunit"),
            ("Exhausted on", Budget("exhausted_timestamp_seconds", how="min", then=" * 1000"), "dateTimeAsLocal"),
        ),
    ),
)
