"""The ledger of hours: its tables, the queries for what is missing, counters, and what each consumer is still due.

It offers planners, which turn what is missing into query tasks; `emit`, which makes a cycle's points; and `lookup` for
commands. It knows neither HTTP nor output formats.
"""

from __future__ import annotations

from .daily_check import difference
from .emit import Emitted, emit
from .hour_planner import Account, HourPlanner
from .hour_series import list_series, usage_values
from .hour_values import settled_until
from .lookup import HeldHours, lookup
from .schema import check_ledger
from .watermarks import COUNTERS, HOURS, INCREMENTS, Consumer

__all__ = [
    "COUNTERS", "HOURS", "INCREMENTS", "Account", "Consumer", "Emitted", "HeldHours", "HourPlanner",
    "check_ledger", "difference", "emit", "list_series", "lookup", "settled_until", "usage_values",
]  # fmt: skip
