"""Prices of models."""

# Without `from __future__ import annotations`: see instance.py.

from decimal import Decimal
from typing import Dict, Optional

from msgspec import Struct

MILLION = 1_000_000


class Price(Struct, frozen=True):
    """The price of a million tokens: those sent to the model (prompt), and those that it returned (completion)."""

    prompt: Decimal
    completion: Decimal

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Return the cost of a number of tokens."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / MILLION


class Prices(Struct, frozen=True):
    """Prices by model name or id, and their currency."""

    currency: str
    models: Dict[str, Price]

    def of(self, *names: str) -> Optional[Price]:
        """Return the price of the first of a model's names and ids that has one, else None."""
        return next((self.models[name] for name in names if name in self.models), None)
