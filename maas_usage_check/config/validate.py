"""Check what the types of an Instance cannot express, and fill in defaults that depend on other keys."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Set

from msgspec.structs import replace

from ..errors import ConfigError
from ..metrics import check_tag_text, plain_name
from .instance import ONLINE_EXPERIENCE, Instance, is_project_id
from .ranges import Fixed, check_order
from .urls import parse_endpoint, read_proxy
from .values import located, parse_authorities, parse_path
from .zones import named_zone

POSITIVE = ("timeout", "deadline", "min_collection_interval", "max_concurrency", "max_requests_per_minute")
HOSTS = {"endpoint": "modelarts", "iam_endpoint": "iam", "cloud_eye_endpoint": "ces"}
"""The first part of the default host of each API."""

Place = Callable[[str], str]
"""Returns the path of a config key, for errors."""


def validate(instance: Instance, place: Place, now: float) -> Instance:
    """Return the complete instance; raise ConfigError for the first error. `now` is seconds since 1970."""
    _check_values(instance, place)
    _check_tags(instance, place)
    _check_times(instance, place, int(now * 1000))
    values: Dict[str, Any] = {}
    for config_key, host in HOSTS.items():
        with located(place(config_key)):
            default = f"https://{host}.{instance.region}.myhuaweicloud.com"
            values[config_key] = parse_endpoint(getattr(instance, config_key), default)
    if instance.proxy is not None:
        values["proxy"] = read_proxy(instance.proxy, place("proxy"))
    with located(place("tls_ca_cert")):
        values["tls_ca_cert"] = parse_authorities(instance.tls_ca_cert)
    with located(place("state_dir")):
        values["state_dir"] = parse_path(instance.state_dir)
    with located(place("credentials.path")):
        values["credentials"] = replace(instance.credentials, path=parse_path(instance.credentials.path))
    return replace(instance, **values)


def _check_values(instance: Instance, place: Place) -> None:
    """Check what types cannot express."""

    def require(condition: Any, at: str, text: str) -> None:
        if not condition:
            raise ConfigError(f"{place(at)}: {text}")

    require(re.fullmatch("[a-z0-9-]+", instance.region), "region", "must be a region's id such as cn-southwest-2")
    require(
        instance.project_id is None or is_project_id(instance.project_id),
        "project_id",
        "must be the 32 lower-case letters and digits of the console's My Credentials page",
    )
    require(instance.credentials.source in ("env", "file", "sdk"), "credentials.source", "must be env, file or sdk")
    require(
        (instance.credentials.source == "file") == bool(instance.credentials.path),
        "credentials.path",
        "is required with `source: file`, and allowed only there",
    )
    for config_key in POSITIVE:
        require(0 < getattr(instance, config_key) <= 86_400, config_key, "must be greater than 0, and at most 86400")
    require(0 <= instance.backfill_days <= 29, "backfill_days", "must be 0 to 29: the cloud keeps 30 days")
    labels = instance.api_keys or ()
    require(labels or not instance.per_api_key, "per_api_key", "needs `api_keys`: the labels to report separately")
    require(
        not (instance.per_api_key and "" in labels and ONLINE_EXPERIENCE in labels),
        "api_keys",
        f'"" is tagged {ONLINE_EXPERIENCE}, which is a label here too; remove one of the two',
    )
    require(
        instance.prices is None or (instance.models and instance.hourly),
        "prices",
        "needs `models: true` and `hourly: true`: cost is calculated per model and hour",
    )


def _check_tags(instance: Instance, place: Place) -> None:
    """Raise ConfigError for tags that are one in some format, and for labels that cannot be a tag's value."""
    indices: Dict[str, int] = {}
    for i, tag in enumerate(instance.tags):
        name = plain_name(tag.partition(":")[0])
        k = indices.setdefault(name, i)
        if k != i:
            text = f"duplicate of tags[{k}]: both are `{name}`, at least in some formats; rename or remove one"
            raise ConfigError(f"{place(f'tags[{i}]')}: {text}")
    for i, label in enumerate(instance.api_keys or ()):
        if instance.per_api_key:
            with located(place(f"api_keys[{i}]")):
                check_tag_text(label)


def _check_times(instance: Instance, place: Place, now_ms: int) -> None:
    if instance.timezone is not None:
        with located(place("timezone")):
            named_zone(instance.timezone)
    names: Set[str] = set()
    for i, span in enumerate(instance.ranges):
        with located(place(f"ranges[{i}]")):
            if span.name in names:
                raise ValueError(f"duplicate name `{span.name}`; it becomes the tag `range`, so choose another")
            names.add(span.name)
            if isinstance(span, Fixed):
                check_order(span, now_ms, instance.zone)
