"""Today and this month: tokens and cost, beside their budgets."""

from __future__ import annotations

from ..panel_queries import COSTS, Forecast, Total, Used
from .panel import ESTIMATE, NO_COST, PICKED, Panel, Row

MONTH, DAY = "now/M", "now/d"
LAG = "The cloud reports usage 1 to 2 hours late."
RANGE = "Keeps its last value for 2 hours if a query fails. Needs the range {} in the configuration."
SIGNAL = "An operational signal, not an invoice."


def _lacks(span: str) -> str:
    return f"No value yet, or the range {span} is missing in the configuration"


BUDGET = Row(
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
            "The value of *Tokens today* 7 days ago at this time, with the same delay. " + RANGE.format("`today`"),
            "short",
            "stat",
            4,
            (("a week ago", Total("today")),),
            "No value a week ago, or the range today was missing in the configuration",
            earlier="7d",
        ),
        Panel(
            "Tokens this month",
            "Tokens of the calendar month in the configured time zone. The cloud keeps 30 days: on the 31st a part of "
            f"the 1st is missing. {RANGE.format('`this_month`')}",
            "short",
            "stat",
            4,
            (("this month", Total("this_month")),),
            _lacks("this_month"),
        ),
        Panel(
            "Budget used",
            "Tokens of the calendar month as a share of the variable `budget`. "
            f"{RANGE.format('`this_month`')} {SIGNAL}",
            "percentunit",
            "stat",
            4,
            (("budget used", Total("this_month", " / $budget")),),
            _lacks("this_month"),
        ),
        Panel(
            "Forecast for the month",
            "Expected tokens at the end of the month. {forecast}",
            "short",
            "stat",
            4,
            (("forecast", Forecast()),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Forecast against the budget",
            "Expected tokens at the end of the month, as a share of the variable `budget`. {forecast} " + SIGNAL,
            "percentunit",
            "stat",
            4,
            (("forecast", Forecast(" / $budget")),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Cost today",
            f"Cost since midnight in the dashboard's time zone. {PICKED} {ESTIMATE}",
            "short",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",))),),
            NO_COST,
            since=DAY,
        ),
        Panel(
            "Cost this month",
            f"Cost of the calendar month in the dashboard's time zone{{since}}. {PICKED} {ESTIMATE}",
            "short",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",))),),
            NO_COST,
            since=MONTH,
        ),
        Panel(
            "Cost against the budget",
            "Cost of the calendar month as a share of the variable `cost_budget`, per currency{since}. "
            f"{PICKED} {ESTIMATE}",
            "percentunit",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",), then=" / $cost_budget")),),
            NO_COST,
            since=MONTH,
        ),
    ),
)
