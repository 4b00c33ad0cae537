"""The ledger of hours: what is known, what to ask next, what to count once."""

from __future__ import annotations

from .emission import COUNTERS, HOURS, INCREMENTS, Consumer
from .giving import Given, give
from .history import Account, History
from .series import series_of
from .work import Ask, Work

__all__ = [
    "COUNTERS",
    "HOURS",
    "INCREMENTS",
    "Account",
    "Ask",
    "Consumer",
    "Given",
    "History",
    "Work",
    "give",
    "series_of",
]
