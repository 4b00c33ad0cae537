"""Collection: whether the numbers of the other rows can be trusted."""

from __future__ import annotations

from ..panel_queries import Coverage, State
from .panel import NO_HOURS, Panel, Row

NO_COLLECTION = "The collection has not run yet"


def _state(title: str, description: str, unit: str, field: str, how: str, then: str = "", empty: str = "") -> Panel:
    query = State(field, how, then)
    return Panel(title, description, unit, "stat", 4, (("{region} {project_id}", query),), empty or NO_COLLECTION)


def _cycles(title: str, description: str, unit: str, field: str, how: str) -> Panel:
    queries = (("{region} {project_id}", State(field, how)),)
    return Panel(title, description, unit, "timeseries", 8, queries, NO_COLLECTION, "5m")


COLLECTION = Row(
    "Collection: can these numbers be trusted?",
    (
        _state(
            "Collection",
            "Up if any query of the last cycle succeeded. While it is down, no panel has new values.",
            "none",
            "up",
            "min",
        ),
        _state(
            "Result of the last cycle",
            "Partial: some queries failed, and their series keep the last value. `maas-usage-check doctor` names the "
            "cause and the remedy.",
            "none",
            "result_code",
            "max",
        ),
        _state(
            "Last answer",
            "Time since the last successful query. If it is more than some minutes, check whether the agent still runs "
            "the collection.",
            "dateTimeFromNow",
            "last_success_timestamp_seconds",
            "min",
            " * 1000",
        ),
        _state(
            "Newest usage",
            "Time since the end of the newest hour with usage: the delay of the cloud's statistics, if there are "
            "calls.",
            "dateTimeFromNow",
            "newest_usage_timestamp_seconds",
            "max",
            " * 1000",
            NO_HOURS,
        ),
        _state(
            "Missing hours",
            "Past hours that are not collected yet. Falls to 0 after the first start; if not, a warning names the "
            "cause.",
            "short",
            "missing_hours",
            "max",
            empty=NO_HOURS,
        ),
        Panel(
            "Coverage of the ranges",
            "Share of each range within the 30 days that the cloud keeps. Below 100 % the total of the range is too "
            "small.",
            "percentunit",
            "stat",
            4,
            (("{range}", Coverage()),),
            NO_COLLECTION,
        ),
        _cycles("Requests per cycle", "HTTP requests of a cycle to the cloud.", "short", "http_requests", "max"),
        _cycles(
            "Failed queries",
            "Queries of a cycle that failed; their series have no new value.",
            "short",
            "failed_queries",
            "max",
        ),
        _cycles(
            "Duration of a cycle",
            "If it is near the `deadline` of the configuration, reduce ranges, service types or labels.",
            "s",
            "duration_seconds",
            "max",
        ),
    ),
)
