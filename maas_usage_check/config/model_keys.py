"""Parsers for `model_names` and `prices`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Dict, Mapping

from ..errors import ConfigError
from .known_keys import check_keys
from .list_items import check_length, check_tag_text
from .prices import Price, Prices

MAX_PRICE = 1_000_000_000
"""Per million tokens, in any currency."""


def read_prices(value: Any, path: str) -> Prices:
    """Parse `prices`; raise ConfigError for the first error."""
    currency, models = (_mapping(value, path, ("currency", "models")).get(key) for key in ("currency", "models"))
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise ConfigError(f"{path}.currency: must be three capital letters, such as CNY")
    prices: Dict[str, Price] = {}
    for name, price in _models(models, f"{path}.models").items():
        at = f"{path}.models.{name}"
        parts = _mapping(price, at, Price.__struct_fields__)
        prices[name] = Price(*(_amount(parts.get(part), f"{at}.{part}") for part in Price.__struct_fields__))
    return Prices(currency, prices)


def read_model_names(value: Any, path: str) -> Dict[str, str]:
    """Parse `model_names`; raise ConfigError for a name that cannot be a tag."""
    for key, name in _models(value, path).items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"{path}.{key}: must be a name in quotes")
        try:
            check_tag_text(name)
        except ValueError as error:
            raise ConfigError(f"{path}.{key}: {error}") from None
    return dict(value)


def _amount(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{path}: must be a number, the price of a million tokens, such as 2.0")
    amount = Decimal(repr(value))
    if not amount.is_finite() or not 0 <= amount <= MAX_PRICE:
        raise ConfigError(f"{path}: must be 0 to {MAX_PRICE:,}")
    return amount


def _models(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{path}: must be a mapping with a model's id or name as the key, and at least one entry")
    check_length(value, path)
    for key in value:
        if not isinstance(key, str) or not key.strip():
            raise ConfigError(f"{path}: the key `{str(key)[:60]}` must be an id or a name in quotes")
    return value


def _mapping(value: Any, path: str, known: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: must be a mapping of {' and '.join(known)}")
    check_keys(value, known, path)
    return value
