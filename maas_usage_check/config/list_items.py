"""Parsers for the entries of lists. Each entry is parsed on its own, so that an error names its index."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Dict, List, Set, Sized

from ..errors import ConfigError
from ..metrics import RESERVED_TAGS, plain_name
from .instance import INFER_TYPES, ServiceType
from .ranges import parse_range

MAX_ITEMS = 1_000
MAX_TAGS = 100
"""Every point of the instance carries all of them."""
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


def read_items(values: Any, parse: Callable[[Any], Any], path: str) -> List[Any]:
    """Parse each entry of a list; raise ConfigError for the first invalid one, or if it is not a list."""
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{path}: must be a list with at least one entry; leave the key out for the default")
    check_length(values, path, MAX_TAGS if parse is _tag else MAX_ITEMS)
    items: List[Any] = []
    seen: Set[Any] = set()
    for i, value in enumerate(values):
        try:
            item = parse(value)
        except ValueError as error:
            raise ConfigError(f"{path}[{i}]: {error}") from None
        if item in seen:
            raise ConfigError(f"{path}[{i}]: duplicate entry; remove it")
        seen.add(item)
        items.append(item)
    return items


def check_length(values: Sized, path: str, limit: int = MAX_ITEMS) -> None:
    """Raise ConfigError for more entries than the limit."""
    if len(values) > limit:
        raise ConfigError(f"{path}: has {len(values):,} entries; at most {limit:,} are allowed")


def _service_type(value: Any) -> int:
    if isinstance(value, str) and value in ServiceType.__members__:
        return ServiceType[value].value
    if type(value) is int and value in list(ServiceType):
        return value
    raise ValueError("must be my_service (1), preset (2) or custom_endpoint (4)")


def _infer_type(value: Any) -> str:
    if value not in INFER_TYPES:
        raise ValueError("must be real_time or batch")
    return str(value)


def _label(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError('must be a label in quotes; "" means the online experience')
    return _text(value)


def _address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be an address in quotes")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


def _tag(value: Any) -> str:
    key, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not (key.strip() and colon and rest.strip()):
        raise ValueError("must be `key:value`, in quotes")
    for part in (key, rest):
        check_tag_text(part)
    if plain_name(key) in RESERVED_TAGS:
        spelling = "" if key in RESERVED_TAGS else f", written `{plain_name(key)}` in some formats,"
        raise ValueError(f"`{key}`{spelling} is a tag that the plugin sets; choose another name")
    return _text(value)


def check_tag_text(text: str) -> None:
    """Raise ValueError for text that some format cannot represent: two series could become one."""
    if text.endswith("\\"):
        raise ValueError("a tag's key or value must not end in a backslash: line protocol cannot represent it")
    if CONTROL.search(text):
        raise ValueError("a tag must not contain a control character such as a line break or NUL")


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate (half a character), which no agent accepts") from None
    return value


ITEMS: Dict[str, Callable[[Any], Any]] = {
    "ranges": parse_range,
    "service_types": _service_type,
    "infer_types": _infer_type,
    "api_keys": _label,
    "ips": _address,
    "tags": _tag,
}
