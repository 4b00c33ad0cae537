"""Prices of models."""

# Without `from __future__ import annotations`: see instance.py.

import re
from decimal import Decimal
from typing import Any, Dict, Optional

from msgspec import Struct

from ..errors import ConfigError
from .known_keys import ID_OR_NAME, check_mapping, read_entries

MILLION = 1_000_000
MAX_PRICE = 1_000_000_000
"""Per million tokens, in any currency."""


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


def read_prices(value: Any, path: str) -> Prices:
    """Parse `prices`; raise ConfigError for the first error."""
    check_mapping(value, Prices.__struct_fields__, path)
    currency = value.get("currency")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise ConfigError(f"{path}.currency: must be three capital letters, such as CNY")
    prices: Dict[str, Price] = {}
    for name, price in read_entries(value.get("models"), f"{path}.models", ID_OR_NAME).items():
        at = f"{path}.models.{name}"
        check_mapping(price, Price.__struct_fields__, at)
        prices[name] = Price(*(_amount(price.get(part), f"{at}.{part}") for part in Price.__struct_fields__))
    return Prices(currency, prices)


def _amount(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{path}: must be a number, the price of a million tokens, such as 2.0")
    if not 0 <= value <= MAX_PRICE:
        raise ConfigError(f"{path}: must be 0 to {MAX_PRICE:,}")
    return Decimal(repr(value))
