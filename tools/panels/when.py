"""When: the hours, the days, and the hours of the day."""

from __future__ import annotations

from typing import Tuple

from ..panel_queries import COSTS, SERVICES, HourOfDay, PanelQuery, Used
from .panel import ESTIMATE, NO_COST, NO_HOURS, PICKED, Panel, Row


def _hours(title: str, unit: str, description: str, *queries: Tuple[str, PanelQuery], step: str = "1h") -> Panel:
    return Panel(title, f"{description} {{late}}", unit, "bars", 12, queries, NO_HOURS, step)


WHEN = Row(
    "When: which hour, which day?",
    (
        _hours(
            "Tokens per hour",
            "short",
            "Tokens by service type; a bar begins with its hour. Over a long range a bar covers several hours.",
            ("{service_type}", Used(SERVICES, by=("service_type",))),
        ),
        _hours(
            "Tokens per day",
            "short",
            "Tokens by service type; a bar begins with its day, in {zone}. The first and the last day of the "
            "range may be incomplete.",
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
            "Errors divided by requests of each hour, by service type; a point is at the beginning of its hour. {late}",
            "percentunit",
            "timeseries",
            12,
            (("{service_type}", Used(SERVICES, "errors", ("service_type",), over="requests")),),
            NO_HOURS,
            "1h",
        ),
        Panel(
            "Cost per day",
            "Cost of prompt tokens, cached ones included, and of completion tokens; a bar begins with its day, in "
            f"{{zone}}. {{counted}} {ESTIMATE}",
            "short",
            "bars",
            24,
            tuple(
                (f"{kind} {{currency}}", Used(COSTS, f"{kind}_cost", ("currency",)))
                for kind in ("prompt", "completion")
            ),
            NO_COST,
            "1d",
        ),
        Panel(
            "Tokens by hour of the day, last 30 days",
            "A row per hour of the day, a column per day, in {zone}. Blank: no value yet. {late} " + PICKED,
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
