"""The ledger of hours: its tables, the planning of queries for missing hours, counters, and watermarks of consumers.

It offers planners (missing hours to query tasks), `emit` (the points of a cycle) and `lookup` (stored answers for
commands). It must not know HTTP, commands or output formats.
"""

from __future__ import annotations

from .background_source import BackgroundSource, CycleEnd, Failure, PartialBatch
from .daily_check import difference
from .emit import Emitted, emit
from .hour_planner import Account, HourPlanner
from .hour_series import list_series, usage_values
from .hour_values import settled_until
from .lookup import StoredHours, lookup
from .query_task import QueryTask
from .schema import check_ledger
from .watermarks import COUNTERS, HOURS, INCREMENTS, Consumer

__all__ = [
    "COUNTERS",
    "HOURS",
    "INCREMENTS",
    "Account",
    "BackgroundSource",
    "Consumer",
    "CycleEnd",
    "Emitted",
    "Failure",
    "HourPlanner",
    "PartialBatch",
    "QueryTask",
    "StoredHours",
    "check_ledger",
    "difference",
    "emit",
    "list_series",
    "lookup",
    "settled_until",
    "usage_values",
]  # fmt: skip
