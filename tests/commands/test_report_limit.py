"""The limit of hours that `report` queries of a long range."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.commands.report.from_ledger import check_query_limit
from maas_usage_check.commands.report.periods import make_layout
from maas_usage_check.config import load_instance
from maas_usage_check.config.ranges import HOUR
from maas_usage_check.errors import ConfigError
from maas_usage_check.ledger import StoredHours

from ..conftest import NOW

SINCE = {"name": "since", "from": "2026-11-20T12:00:00"}
"""72 hours at noon, 72 and a half at half past."""


def check(from_ledger: int, range_: Any, minutes: int = 0) -> None:
    """Check a range of two series at noon plus `minutes`; the ledger has `from_ledger` full hours of each."""
    now = int(NOW + minutes * 60) * 1000
    entry = {"ranges": [range_], "service_types": [1, 2], "timezone": "UTC"}
    layout = make_layout(load_instance(entry, {}, "x", NOW), "hour", now)
    queries = Statistics().plan(layout.queried, now).queries
    full = [query for query in queries if query.window.end - query.window.start == HOUR]
    check_query_limit(layout, StoredHours(dict.fromkeys(full[: 2 * from_ledger])), False, now)


@pytest.mark.parametrize(
    ("from_ledger", "range_", "minutes", "words"),
    [
        (0, "last_48h", 0, ""),
        (0, "last_49h", 0, "49 of its 49"),
        (24, SINCE, 0, ""),
        (23, SINCE, 0, "49 of its 72"),
        (25, SINCE, 30, ""),
        (24, SINCE, 30, "49 of its 73"),
    ],
)
def test_limit(from_ledger: int, range_: Any, minutes: int, words: str) -> None:
    """In a long range, 48 hours of each series may be missing; a short range has no limit."""
    refused = pytest.raises(ConfigError, match=f"{words} hours would need a request each")
    with refused if words else contextlib.nullcontext():
        check(from_ledger, range_, minutes)
