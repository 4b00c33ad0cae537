"""How many hours of a long range `report` queries at most."""

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
from maas_usage_check.ledger import HeldHours

from ..conftest import NOW

SINCE = {"name": "since", "from": "2026-11-20T12:00:00"}
"""72 hours at noon, 72 and a half at half past."""


def check(held: int, span: Any, minutes: int = 0) -> None:
    """Check a range of which the ledger holds so many full hours, for each of two series, so long after noon."""
    now = int(NOW + minutes * 60) * 1000
    entry = {"ranges": [span], "service_types": [1, 2], "timezone": "UTC"}
    layout = make_layout(load_instance(entry, {}, "x", NOW), "hour", now)
    queries = Statistics().plan(layout.queried, now).queries
    full = [query for query in queries if query.window.end - query.window.start == HOUR]
    check_query_limit(layout, HeldHours(dict.fromkeys(full[: 2 * held])), False, now)


@pytest.mark.parametrize(
    ("held", "span", "minutes", "words"),
    [
        (0, "last_48h", 0, ""),
        (0, "last_49h", 0, "49 of its 49"),
        (24, SINCE, 0, ""),
        (23, SINCE, 0, "49 of its 72"),
        (25, SINCE, 30, ""),
        (24, SINCE, 30, "49 of its 73"),
    ],
)
def test_limit(held: int, span: Any, minutes: int, words: str) -> None:
    """Of each series of a long range 48 hours may be missing; a short one has no limit."""
    refused = pytest.raises(ConfigError, match=f"{words} hours would need a request each")
    with refused if words else contextlib.nullcontext():
        check(held, span, minutes)
