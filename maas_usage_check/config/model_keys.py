"""What the configuration says of models, read from its mappings: names for people, and prices."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Dict, Mapping

from ..errors import ConfigError
from .known_keys import check_keys
from .list_items import check_length, check_tag_text
from .prices import Price, Prices

DEAREST = 1_000_000_000
"""Of any currency, for a million tokens."""


def read_prices(given: Any, path: str) -> Prices:
    """Read `prices`; raise ConfigError naming what is wrong."""
    currency, models = (_mapping(given, path, ("currency", "models")).get(key) for key in ("currency", "models"))
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise ConfigError(f"{path}.currency: must be three capital letters, such as CNY")
    prices: Dict[str, Price] = {}
    for name, of_model in _named(models, f"{path}.models").items():
        at = f"{path}.models.{name}"
        parts = _mapping(of_model, at, Price.__struct_fields__)
        prices[name] = Price(*(_amount(parts.get(part), f"{at}.{part}") for part in Price.__struct_fields__))
    return Prices(currency, prices)


def read_model_names(given: Any, path: str) -> Dict[str, str]:
    """Read `model_names`; raise ConfigError for a name that cannot be a tag."""
    for key, name in _named(given, path).items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"{path}.{key}: must be a name in quotes")
        try:
            check_tag_text(name)
        except ValueError as error:
            raise ConfigError(f"{path}.{key}: {error}") from None
    return dict(given)


def _amount(given: Any, path: str) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ConfigError(f"{path}: must be a number, the price of a million tokens, such as 2.0")
    amount = Decimal(repr(given))
    if not amount.is_finite() or not 0 <= amount <= DEAREST:
        raise ConfigError(f"{path}: must be 0 or more, and a price that somebody could pay")
    return amount


def _named(given: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"{path}: must be a mapping from a model's id, with at least one")
    check_length(given, path)
    for key in given:
        if not isinstance(key, str) or not key.strip():
            raise ConfigError(f"{path}: {str(key)[:60]} must be an id or a name; put it in quotes")
    return given


def _mapping(given: Any, path: str, known: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: must be a mapping of {' and '.join(known)}")
    check_keys(given, known, path)
    return given
