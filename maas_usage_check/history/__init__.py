"""The ledger of hours: what is known, what to ask next, what to count once."""

from __future__ import annotations

from .add_up import difference
from .emission import COUNTERS, HOURS, INCREMENTS, Consumer
from .giving import Given, give
from .history import Account, History
from .hours import settled_until
from .looking import Held, look
from .series import series_of, values_of
from .tables import check_history
from .work import Ask, Work

__all__ = [
    "COUNTERS", "HOURS", "INCREMENTS", "Account", "Ask", "Consumer", "Given", "Held", "History", "Work",
    "check_history", "difference", "give", "look", "series_of", "settled_until", "values_of",
]  # fmt: skip
