"""What models cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Optional

from msgspec import Struct

MILLION = 1_000_000


class Price(Struct, frozen=True):
    """Hold what a million tokens cost, those sent to the model and those that it returned."""

    prompt: Decimal
    completion: Decimal

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Work out what so many tokens cost."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / MILLION


class Prices(Struct, frozen=True):
    """Hold the prices of models by name or id, and their currency."""

    currency: str
    models: Dict[str, Price]

    def of(self, *names: str) -> Optional[Price]:
        """Find the price of a model that goes by these names, the first that has one; None where none has."""
        return next((self.models[name] for name in names if name in self.models), None)
