"""Load and validate a configuration; every error names the path of the config key and the remedy.

The file has the Datadog Agent's shape on every surface: `init_config` and a list of `instances`.
"""

from __future__ import annotations

import re
import time
from typing import Any, List, Mapping, Optional, Set

import msgspec

from ..errors import ConfigError
from ..metrics import plain_name
from .duplicates import check_series
from .instance import ONLINE_EXPERIENCE, Instance, is_project_id
from .known_keys import AGENT_INSTANCE_KEYS, AGENT_TOP_KEYS, SHARED_KEYS, check_keys, refuse_secrets
from .list_items import ITEMS, check_length, check_tag_text, read_items
from .model_keys import read_model_names, read_prices
from .paths import read_path
from .ranges import Fixed, check_order
from .urls import check_authorities, read_endpoint, read_proxy
from .yaml_file import read_yaml
from .zones import find_zone

MAY_BE_EMPTY = ("tags", "ips", "api_keys")
"""An empty list here means the default; of the other lists an empty one would leave nothing to query."""
MAPPINGS = {"model_names": read_model_names, "prices": read_prices}


def load_file(path: str, now: Optional[float] = None, overrides: Mapping[str, Any] = {}) -> List[Instance]:
    """Load a configuration file; raise ConfigError for the first error.

    Args:
        path: the YAML file.
        now: seconds since 1970, to refuse ranges that have not begun.
        overrides: config keys that replace those of every instance.
    """
    document = read_yaml(path)
    try:
        return load(document, now, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load(document: Any, now: Optional[float] = None, overrides: Mapping[str, Any] = {}) -> List[Instance]:
    """Convert a parsed document into instances; raise ConfigError for the first error."""
    if not isinstance(document, dict) or "instances" not in document:
        raise ConfigError("`instances:` is missing; start from conf.yaml.example")
    refuse_secrets(document, "")
    check_keys(document, ("init_config", "instances", *AGENT_TOP_KEYS), "")
    shared = document.get("init_config") or {}
    if not isinstance(shared, dict):
        raise ConfigError("init_config: must be a mapping or empty")
    check_keys(shared, AGENT_INSTANCE_KEYS + SHARED_KEYS, "init_config")
    entries = document["instances"]
    if not isinstance(entries, list) or not entries:
        raise ConfigError("instances: must be a list with at least one entry, each starting with `- `")
    check_length(entries, "instances")
    instances = [
        load_instance({**entry, **overrides} if isinstance(entry, dict) else entry, shared, f"instances[{i}]", now)
        for i, entry in enumerate(entries)
    ]
    check_series(instances)
    folders = dict.fromkeys(instance.state_dir for instance in instances if instance.state_dir)
    if len(folders) > 1:
        raise ConfigError(
            f"instances: have {len(folders)} different state_dir; use one, so that instances with the same access key "
            "share its refusals"
        )
    return instances


def load_instance(entry: Any, shared: Mapping[str, Any], path: str, now: Optional[float] = None) -> Instance:
    """Convert one entry of `instances` into an Instance.

    Args:
        entry: the mapping as parsed.
        shared: `init_config`; as in the Agent, its `proxy`, `skip_proxy` and `timeout` are defaults.
        path: the path of the entry, for errors.
        now: seconds since 1970.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as `region`")
    refuse_secrets(entry, path)
    own_keys = Instance.__struct_fields__
    check_keys(entry, (*own_keys, *AGENT_INSTANCE_KEYS), path)
    values = {config_key: shared[config_key] for config_key in SHARED_KEYS if shared.get(config_key) is not None}
    values.update({name: value for name, value in entry.items() if name in own_keys and value is not None})
    for config_key, parse in ITEMS.items():
        if config_key in MAY_BE_EMPTY and values.get(config_key) == []:
            del values[config_key]
        if config_key in values:
            values[config_key] = read_items(values[config_key], parse, f"{path}.{config_key}")
    for config_key, read in MAPPINGS.items():
        if config_key in values:
            values[config_key] = read(values[config_key], f"{path}.{config_key}")
    try:
        instance = msgspec.convert(values, Instance)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        raise ConfigError(f"{path}{at.rstrip('`')}: {text[:1].lower()}{text[1:]}") from None
    return _validated(instance, path, time.time() if now is None else now)


def _validated(instance: Instance, path: str, now: float) -> Instance:
    """Check what types cannot express, and fill in defaults that depend on other keys."""

    def require(condition: Any, config_key: str, text: str) -> None:
        if not condition:
            raise ConfigError(f"{path}.{config_key}: {text}")

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
    for config_key in ("timeout", "deadline", "min_collection_interval", "max_concurrency", "max_requests_per_minute"):
        require(0 < getattr(instance, config_key) <= 86_400, config_key, "must be greater than 0, and at most 86400")
    require(0 <= instance.backfill_days <= 29, "backfill_days", "must be 0 to 29: the cloud keeps 30 days")
    require(
        instance.api_keys or not instance.per_api_key,
        "per_api_key",
        "needs `api_keys`: the labels to report separately",
    )
    require(
        instance.prices is None or (instance.models and instance.hourly),
        "prices",
        "needs `models: true` and `hourly: true`: cost is calculated per model and hour",
    )
    labels = instance.api_keys or ()
    require(
        not (instance.per_api_key and "" in labels and ONLINE_EXPERIENCE in labels),
        "api_keys",
        f'"" is tagged {ONLINE_EXPERIENCE}, which is a label here too; remove one of the two',
    )
    _check_tags(instance, path)
    if instance.timezone is not None:
        try:
            find_zone(instance.timezone)
        except ConfigError as error:
            raise ConfigError(f"{path}.{error}") from None
    names: Set[str] = set()
    for i, span in enumerate(instance.ranges):
        require(
            span.name not in names,
            f"ranges[{i}]",
            f"duplicate name `{span.name}`; it becomes the tag `range`, so choose another",
        )
        names.add(span.name)
        if isinstance(span, Fixed):
            try:
                check_order(span, int(now * 1000), instance.zone)
            except ValueError as error:
                raise ConfigError(f"{path}.ranges[{i}]: {error}") from None
    authorities = read_path(instance.tls_ca_cert, f"{path}.tls_ca_cert")
    if authorities is not None:
        check_authorities(authorities, f"{path}.tls_ca_cert")
    credentials_file = read_path(instance.credentials.path, f"{path}.credentials.path")
    return msgspec.structs.replace(
        instance,
        credentials=msgspec.structs.replace(instance.credentials, path=credentials_file),
        tls_ca_cert=authorities,
        state_dir=read_path(instance.state_dir, f"{path}.state_dir"),
        proxy=instance.proxy and read_proxy(instance.proxy, f"{path}.proxy"),
        endpoint=read_endpoint(
            instance.endpoint, f"https://modelarts.{instance.region}.myhuaweicloud.com", f"{path}.endpoint"
        ),
        iam_endpoint=read_endpoint(
            instance.iam_endpoint, f"https://iam.{instance.region}.myhuaweicloud.com", f"{path}.iam_endpoint"
        ),
        cloud_eye_endpoint=read_endpoint(
            instance.cloud_eye_endpoint,
            f"https://ces.{instance.region}.myhuaweicloud.com",
            f"{path}.cloud_eye_endpoint",
        ),
    )


def _check_tags(instance: Instance, path: str) -> None:
    """Raise ConfigError for tags that collide in some format, and for names that cannot be a tag's value."""
    for i, tag in enumerate(instance.tags):
        name = tag.split(":", 1)[0]
        earlier = [tag.split(":", 1)[0] for tag in instance.tags[:i]]
        if name in earlier:
            raise ConfigError(f"{path}.tags[{i}]: duplicate tag `{name}`; a series has one value per tag")
        if plain_name(name) in map(plain_name, earlier):
            raise ConfigError(
                f"{path}.tags[{i}]: `{name}` and an earlier tag are both `{plain_name(name)}` in some formats; "
                "rename one"
            )
    tag_values = [(f"ranges[{i}]", span.name) for i, span in enumerate(instance.ranges)]
    tag_values += [(f"api_keys[{i}]", label) for i, label in enumerate(instance.api_keys or ()) if instance.per_api_key]
    for place, text in tag_values:
        try:
            check_tag_text(text)
        except ValueError as error:
            raise ConfigError(f"{path}.{place}: {error}") from None
