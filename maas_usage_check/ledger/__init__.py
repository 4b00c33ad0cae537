"""The ledger of hours: what is known, what to ask next, what to count once."""

from __future__ import annotations

from .daily_check import difference
from .emit import Given, give
from .hour_planner import Account, History
from .hour_series import series_of, values_of
from .hour_values import settled_until
from .lookup import Held, look
from .schema import check_history
from .watermarks import COUNTERS, HOURS, INCREMENTS, Consumer

__all__ = [
    "COUNTERS", "HOURS", "INCREMENTS", "Account", "Consumer", "Given", "Held", "History",
    "check_history", "difference", "give", "look", "series_of", "settled_until", "values_of",
]  # fmt: skip
