"""Check the tables of docs/freshness-and-cost.md against the plans of their configurations."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import METRICS, CloudEye, Dimensions
from maas_usage_check.cloud.cloud_eye.known_metrics import NOT_QUERIED
from maas_usage_check.cloud.cloud_eye.metric_data import HOUR, MINUTE
from maas_usage_check.cloud.cloud_eye.metric_list import PAGE_SIZE as LISTED_AT_ONCE
from maas_usage_check.config import load_instance
from maas_usage_check.ledger.model_list import ListedModel
from maas_usage_check.ledger.sweep import RECENT_HOURS, SWEEPS
from maas_usage_check.scheduling import WINDOW_S, background_share

from .pages import Pages, Problem

PAGE = "docs/freshness-and-cost.md"
NOW = 1_795_435_200
"""2026-11-23 12:00:00 UTC."""
RANGES = {"ranges": ["last_7d", "last_14d", "last_30d", "today"], "timezone": "UTC"}
TYPES = {**RANGES, "service_types": ["my_service", "preset", "custom_endpoint"]}
LABELS = {**TYPES, "per_api_key": True, "api_keys": ["a", "b", "c", ""]}
ENTRIES: List[Dict[str, Any]] = [{}, RANGES, TYPES, LABELS]
"""The configurations of the first table's rows."""
ACCOUNTS = [(3, 8), (30, 20)]
"""The models and keys of the last table's columns."""


def polling(pages: Pages) -> Iterator[Problem]:
    """Report rows of ranges with a wrong number of calls."""
    page = pages.read(PAGE)
    rows = [(line, cells[1:]) for line, cells in page.tables() if len(cells) == 5][2:]
    for (line, cells), entry in zip(rows, ENTRIES):
        instance = load_instance(entry, {}, "instances[0]", NOW)
        calls = len(Statistics().plan(instance, NOW * 1000).queries)
        expected = [f"{calls * times:,}" for times in (1, 288, 96, 24)]
        if cells != expected:
            yield page.problem(f"costs {' | '.join(expected)}", line)
    if len(rows) != len(ENTRIES):
        yield page.problem(f"{len(rows)} rows of configurations, {len(ENTRIES)} are known")


def models(pages: Pages) -> Iterator[Problem]:
    """Report rows of models with a wrong number of calls."""
    page = pages.read(PAGE)
    rows = [(line, cells[2:]) for line, cells in page.tables() if len(cells) == 4][2:]
    expected = [[f"{calls:,}" for calls in row] for row in zip(*(_calls(*account) for account in ACCOUNTS))]
    if len(rows) != len(expected):
        yield page.problem(f"{len(rows)} rows of models, {len(expected)} are known")
    for (line, cells), row in zip(rows, expected):
        if cells != row:
            yield page.problem(f"costs {' | '.join(row)}", line)


def rate(pages: Pages) -> Iterator[Problem]:
    """Report that the background share of the default rate, or the longest wait for it, is not on the page."""
    page = pages.read(PAGE)
    share = background_share(load_instance({}, {}, "instances[0]", NOW).max_requests_per_minute)
    for text in (f"{share} background requests", f"at most {WINDOW_S:g} s"):
        if not list(page.matches(f"({text})")):
            yield page.problem(f"`{text}` is missing")


def _calls(number: int, of_keys: int) -> List[int]:
    """Count the calls for a number of models and keys per model: by kind, then per day without and with hours."""
    series = [ListedModel(Dimensions(str(i)), sorted(METRICS), 0, 0) for i in range(number * (1 + of_keys))]

    def queries(periods: int, period_ms: int) -> int:
        return len(list(CloudEye().data_queries(series, 0, periods * period_ms, period_ms)))

    minutes = queries(15, MINUTE)
    listing = -(-len(series) * len([*METRICS, *NOT_QUERIED]) // LISTED_AT_ONCE) + 1
    last, healing, past = (queries(hours, HOUR) for hours in (RECENT_HOURS, *(hours for hours, _ in SWEEPS.values())))
    live = 288 * minutes + 24 * listing
    return [minutes, listing, last, healing, past, live, live + 288 * last + 24 * healing + past]
