"""Parsers of single values. They raise ValueError, and `located` adds the path of the value."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
from typing import Any, Callable, Dict, Iterator, List, Optional, Set

from ..errors import ConfigError
from ..metrics import RESERVED_TAGS, check_tag_text, plain_name
from .instance import INFER_TYPES, ServiceType
from .prices import read_models
from .ranges import parse_range


@contextlib.contextmanager
def located(path: str) -> Iterator[None]:
    """Raise the ValueError of a parser as a ConfigError that names the path of the value."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_items(parse: Callable[[Any], Any], values: Any, path: str) -> List[Any]:
    """Parse each entry of a list; raise ConfigError for the first invalid one, or if it is not a list."""
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{path}: must be a list with at least one entry; leave the key out for the default")
    items: List[Any] = []
    seen: Set[Any] = set()
    for i, value in enumerate(values):
        with located(f"{path}[{i}]"):
            item = parse(value)
            if item in seen:
                raise ValueError("duplicate entry; remove it")
        seen.add(item)
        items.append(item)
    return items


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
    return value


def _address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be an address in quotes")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


def _tag(value: Any) -> str:
    name, _, content = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not (name.strip() and content.strip()):
        raise ValueError("must be `key:value`, in quotes")
    check_tag_text(name)
    check_tag_text(content)
    if plain_name(name) in RESERVED_TAGS:
        spelling = "" if name in RESERVED_TAGS else f", written `{plain_name(name)}` in some formats,"
        raise ValueError(f"`{name}`{spelling} is a tag that the plugin sets; choose another name")
    return str(value)


LISTS: Dict[str, Callable[[Any], Any]] = {
    "ranges": parse_range,
    "service_types": _service_type,
    "infer_types": _infer_type,
    "api_keys": _label,
    "ips": _address,
    "tags": _tag,
}
"""The parser of an entry of each list, by config key."""


def read_model_names(value: Any, path: str) -> Dict[str, str]:
    """Parse names by model id; raise ConfigError for a name that cannot be the value of a tag."""
    for api_id, name in read_models(value, path).items():
        with located(f"{path}.{api_id}"):
            if not isinstance(name, str) or not name.strip():
                raise ValueError("must be a name in quotes")
            check_tag_text(name)
    return dict(value)


def parse_path(value: Optional[str]) -> Optional[str]:
    """Expand `~` in a path. None stays None."""
    if value is None:
        return None
    try:
        is_valid = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # a lone surrogate
        is_valid = False
    if not is_valid:
        raise ValueError("contains a character that is not allowed in a path, such as NUL; remove it")
    return os.path.expanduser(value)


def parse_authorities(value: Optional[str]) -> Optional[str]:
    """Parse the path of a file with certificate authorities, or of a folder, which is accepted unread."""
    path = parse_path(value)
    if path is not None and not os.path.isdir(path):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (OSError, ValueError):  # missing file; no certificates
            raise ValueError(f"{path} cannot be read as certificates; name a PEM file") from None
    return path
