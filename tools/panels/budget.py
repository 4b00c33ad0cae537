"""Today and this month: tokens and cost, beside their budgets."""

from __future__ import annotations

from ..asks import COSTS, Forecast, Total, Used
from .panel import ESTIMATE, NO_COST, PICKED, Panel, Row

MONTH, DAY = "now/M", "now/d"
LAG = "The cloud tells 1 to 2 hours late."
RANGE = "Held for 2 hours where a cycle got no answer. Needs the range {} in the configuration."
SIGNAL = "An operational signal, not an invoice."


def _lacks(span: str) -> str:
    return f"Not known, or the file lacks the range {span}"


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
            f"{RANGE.format('`this_month`')} {SIGNAL}",
            "percentunit",
            "stat",
            4,
            (("budget used", Total("this_month", " / $budget")),),
            _lacks("this_month"),
        ),
        Panel(
            "Forecast for the month",
            "Where the month ends. {forecast}",
            "short",
            "stat",
            4,
            (("forecast", Forecast()),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Forecast against the budget",
            "Where the month ends, as a share of the variable `budget`. {forecast} " + SIGNAL,
            "percentunit",
            "stat",
            4,
            (("forecast", Forecast(" / $budget")),),
            "{no_forecast}",
            since=MONTH,
        ),
        Panel(
            "Cost today",
            f"Since midnight in the dashboard's time zone. {PICKED} {ESTIMATE}",
            "short",
            "stat",
            8,
            (("{currency}", Used(COSTS, "cost", ("currency",))),),
            NO_COST,
            since=DAY,
        ),
        Panel(
            "Cost this month",
            f"Of the calendar month in the dashboard's time zone{{since}}. {PICKED} {ESTIMATE}",
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
