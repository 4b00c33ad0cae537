"""READERS: what reads the value of each key that has more than a type.

A parser takes one text or entry, and raises ValueError. A reader takes the value of a key and its path, and raises
ConfigError. Values of a wrong type are left to msgspec.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from functools import partial
from typing import Any, Callable, Dict, List, Set

from ..errors import ConfigError, located
from ..metrics import check_tag_key, check_tag_text
from .instance import PROJECT_ID, ServiceType
from .known_keys import ID_OR_NAME, read_entries
from .ranges import parse_range
from .urls import parse_endpoint, read_proxy
from .zones import named_zone

Parse = Callable[[Any], Any]


def _read_text(parse: Parse, value: Any, path: str) -> Any:
    with located(path):
        return parse(value) if isinstance(value, str) else value


def _read_list(parse: Parse, values: Any, path: str) -> List[Any]:
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


def _read_seconds(value: Any, path: str) -> Any:
    # Clamped: msgspec 0.18 fails with a SystemError if an integer does not fit into a float.
    return max(-1, min(value, 1_000_000)) if type(value) is int else value


def _read_tags(values: Any, path: str) -> List[Any]:
    if isinstance(values, dict):
        raise ConfigError(f'{path}: must be a list; write each tag as `- "key:value"`')
    return _read_list(_parse_tag, values, path)


def _read_credentials(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        return value
    source, file = value.get("source", "env"), value.get("path")
    if source not in ("env", "file", "sdk"):
        raise ConfigError(f"{path}.source: must be env, file or sdk")
    if (source == "file") != bool(file):
        raise ConfigError(f"{path}.path: is required with `source: file`, and allowed only there")
    return {**value, "path": _read_text(_parse_path, file, f"{path}.path")}


def _read_names(tag: str, key: str, value: Any, path: str) -> Dict[str, str]:
    names: Dict[str, str] = {}
    for own_id, name in read_entries(value, path, key).items():
        with located(f"{path}.{own_id}"):
            if not isinstance(name, str) or not name.strip():
                raise ValueError("must be a name in quotes")
            names[own_id] = name.strip()
            check_tag_text(f"{tag}:{names[own_id]}")
    return names


# Imported where configured: saves 3 million instructions of a `collect` without them.
def _read_prices(value: Any, path: str) -> Any:
    from .prices import read_prices

    return read_prices(value, path)


def _read_of_teams(config_key: str, value: Any, path: str) -> Any:
    from .teams import READERS

    return READERS[config_key](value, path)


def _matching(pattern: str, text: str) -> Parse:
    """Make a parser of the texts that match a pattern; `text` is its error."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
            raise ValueError(text)
        return value

    return parse


def _parse_service_type(value: Any) -> int:
    if isinstance(value, str) and value in ServiceType.__members__:
        return ServiceType[value].value
    if type(value) is int and value in list(ServiceType):
        return value
    quotes = ", without quotes" if value in [str(each.value) for each in ServiceType] else ""
    raise ValueError(f"must be my_service (1), preset (2) or custom_endpoint (4){quotes}")


def _parse_address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be an address in quotes")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


def _parse_tag(value: Any) -> str:
    parts = value.partition(":") if isinstance(value, str) else ("", "", "")
    name, content = parts[0].strip(), parts[2].strip()
    if not (name and content):
        raise ValueError("must be `key:value`, in quotes")
    check_tag_key(name)
    check_tag_text(f"{name}:{content}")
    return f"{name}:{content}"


def _parse_timezone(value: str) -> str:
    named_zone(value)
    return value


def _parse_path(value: str) -> str:
    try:
        is_valid = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # a lone surrogate
        is_valid = False
    if not is_valid:
        raise ValueError("contains a character that is not allowed in a path, such as NUL; remove it")
    return os.path.expanduser(value)


def _parse_authorities(value: str) -> str:
    path = _parse_path(value)
    if not os.path.isdir(path):  # a folder is accepted unread
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (OSError, ValueError):  # missing file; no certificates
            raise ValueError(f"{path} cannot be read as certificates; name a PEM file") from None
    return path


TEXTS: Dict[str, Parse] = {
    "region": _matching("[a-z0-9-]+", "must be a region's id such as cn-southwest-2"),
    "project_id": _matching(
        PROJECT_ID, "must be the 32 lower-case letters and digits of the console's My Credentials page"
    ),
    "endpoint": parse_endpoint,
    "iam_endpoint": parse_endpoint,
    "cloud_eye_endpoint": parse_endpoint,
    "timezone": _parse_timezone,
    "tls_ca_cert": _parse_authorities,
    "state_dir": _parse_path,
}
LISTS: Dict[str, Parse] = {
    "ranges": parse_range,
    "service_types": _parse_service_type,
    "infer_types": _matching("real_time|batch", "must be real_time or batch"),
    "api_keys": _matching(".*", 'must be a label in quotes; "" means the online experience'),
    "ips": _parse_address,
    "tags": _parse_tag,
}
READERS: Dict[str, Callable[[Any, str], Any]] = {
    **{config_key: partial(_read_text, parse) for config_key, parse in TEXTS.items()},
    **{config_key: partial(_read_list, parse) for config_key, parse in LISTS.items()},
    **dict.fromkeys(("timeout", "deadline", "min_collection_interval"), _read_seconds),
    "tags": _read_tags,
    "credentials": _read_credentials,
    "model_names": partial(_read_names, "model", ID_OR_NAME),
    "key_names": partial(_read_names, "api_key", "an API key's id"),
    "prices": _read_prices,
    "proxy": read_proxy,
    **{config_key: partial(_read_of_teams, config_key) for config_key in ("teams", "budget", "limits")},
}
