"""Collection: whether the numbers of the other rows can be believed."""

from __future__ import annotations

from ..asks import Coverage, State
from .panel import NO_HOURS, Panel, Row

NO_COLLECTION = "The collection has not run yet"


def _state(title: str, description: str, unit: str, field: str, how: str, then: str = "", empty: str = "") -> Panel:
    ask = State(field, how, then)
    return Panel(title, description, unit, "stat", 4, (("{region} {project_id}", ask),), empty or NO_COLLECTION)


def _cycles(title: str, description: str, unit: str, field: str, how: str) -> Panel:
    asks = (("{region} {project_id}", State(field, how)),)
    return Panel(title, description, unit, "timeseries", 8, asks, NO_COLLECTION, "5m")


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
