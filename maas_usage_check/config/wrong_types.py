"""The remedy for a value of a wrong type, derived from the types and defaults of `Instance`."""

from __future__ import annotations

import re
from typing import Any, Mapping, Type, Union

from msgspec import Struct, structs


def explain(struct: Type[Struct], values: Mapping[str, Any], path: str) -> str:
    """Return the remedy for a value that msgspec refused. It never shows the value, which may be a secret.

    Args:
        struct: the type of the mapping.
        values: the mapping.
        path: the keys of the value, joined by dots.
    """
    config_key, _, inner = path.partition(".")
    field = next(field for field in structs.fields(struct) if field.name == config_key)
    is_optional = getattr(field.type, "__origin__", None) is Union
    kind, value = field.type.__args__[0] if is_optional else field.type, values[config_key]
    if inner:
        return explain(kind, value, inner)
    if kind is bool:
        return "must be true or false, without quotes"
    if kind in (int, float):
        noun = "a whole number" if kind is int else "a number of seconds"
        return f"must be {noun}, {'without quotes' if _is_quoted_number(value) else f'such as {field.default:g}'}"
    if kind is str:
        return "must be one text in quotes" if isinstance(value, (list, dict)) else "must be a text; write it in quotes"
    *names, last = kind.__struct_fields__
    return f"must be a mapping of {', '.join(names)} and {last}; write `{config_key}: {{{names[0]}: ...}}`"


def _is_quoted_number(value: Any) -> bool:
    """Return whether a value is a text that would be a number without its quotes."""
    return isinstance(value, str) and re.fullmatch(r"\s*[0-9]+(\.[0-9]+)?\s*", value) is not None
