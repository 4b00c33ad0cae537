"""Teams with their API keys and budgets, and the limits of models; imported where configured."""

# Without `from __future__ import annotations`: see instance.py.

from decimal import Decimal
from typing import Optional, Tuple

from msgspec import Struct

UNASSIGNED = "unassigned"
"""Tag value of the team and of the cost centre of keys that no team has."""


class Budget(Struct, frozen=True):
    """A budget of a calendar month: whole tokens, and an amount in the currency of the prices; None is no budget."""

    tokens: Optional[int] = None
    cost: Optional[Decimal] = None


class Team(Struct, frozen=True):
    """One entry of `teams`: the labels of its API keys, its cost centre, and its budget."""

    api_keys: Tuple[str, ...]
    cost_center: str = UNASSIGNED
    budget: Budget = Budget()


class Limit(Struct, frozen=True):
    """The limits of a model: requests and tokens a minute; None is not known."""

    rpm: Optional[float] = None
    tpm: Optional[float] = None
