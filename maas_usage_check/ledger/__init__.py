"""The ledger of hours and minutes: queries for missing ones, counters, watermarks of consumers, budgets, points.

It offers two planners, `emit` and `build`. The planner of totals bisects windows whose total differs; the one of models
sweeps over all hours of all series. In time hours become days. For commands it offers windows of known usage. It must
not know HTTP, commands or output formats.
"""

from __future__ import annotations

from .build import build
from .emit import emit, read_counters
from .planner import Account, CycleEnd, Failure, PartialBatch, Planner, QueryTask
from .schema import check_ledger
from .watermarks import COUNTERS, HOURS, INCREMENTS, Consumer

__all__ = [
    "COUNTERS", "HOURS", "INCREMENTS", "Account", "Consumer", "CycleEnd", "Failure", "PartialBatch", "Planner",
    "QueryTask", "build", "check_ledger", "emit", "read_counters",
]  # fmt: skip
