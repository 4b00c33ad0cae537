"""Load and validate a configuration; every error names the path of the config key and the remedy.

The file has the Datadog Agent's shape on every surface: `init_config`, the defaults of all instances, and `instances`.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Optional

import msgspec
from msgspec.structs import replace

from ..errors import ConfigError
from .instance import DEFAULT_REGION, CredentialsSource, Instance, Proxy
from .known_keys import AGENT_INSTANCE_KEYS, AGENT_TOP_KEYS, check_keys
from .overlaps import first_overlap, series
from .validate import validate
from .values import READERS
from .yaml_file import read_yaml

TOP_KEYS = ("init_config", "instances", *AGENT_TOP_KEYS)
INSTANCE_KEYS = (*Instance.__struct_fields__, *AGENT_INSTANCE_KEYS)
MAX_INSTANCES = 1_000
MAY_BE_EMPTY = ("tags", "ips", "api_keys")
"""An empty list here means the default; of the other lists an empty one would leave nothing to query."""
HOSTS = {"endpoint": "modelarts", "iam_endpoint": "iam", "cloud_eye_endpoint": "ces"}
"""The first part of the default host of each API."""
DOMAINS = {"eu-west-101": "myhuaweicloud.eu"}
"""Of regions that have a domain of their own."""


def load_file(path: str, now: Optional[float] = None, overrides: Mapping[str, Any] = {}) -> List[Instance]:
    """Load a YAML file; see `load`."""
    document = read_yaml(path)
    try:
        return load(document, now, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load(document: Any, now: Optional[float] = None, overrides: Mapping[str, Any] = {}) -> List[Instance]:
    """Convert a parsed document into instances; raise ConfigError for the first error.

    Args:
        document: the mapping of `init_config` and `instances`.
        now: seconds since 1970, to refuse ranges that have not begun.
        overrides: config keys that replace those of every instance.
    """
    if not isinstance(document, dict) or "instances" not in document:
        raise ConfigError("`instances:` is missing; start from conf.yaml.example")
    check_keys(document, TOP_KEYS, "")
    defaults, entries = document.get("init_config") or {}, document["instances"]
    if not isinstance(defaults, dict):
        raise ConfigError("init_config: must be a mapping or empty")
    _check_keys(defaults, "init_config")
    if not isinstance(entries, list) or not entries:
        raise ConfigError("instances: must be a list with at least one entry, each starting with `- `")
    if len(entries) > MAX_INSTANCES:
        raise ConfigError(f"instances: has {len(entries):,} entries; at most {MAX_INSTANCES:,} are allowed")
    instances = [
        load_instance({**entry, **overrides} if isinstance(entry, dict) else entry, defaults, f"instances[{i}]", now)
        for i, entry in enumerate(entries)
    ]
    pair = first_overlap(instances, series)
    if pair is not None:
        raise ConfigError(
            f"instances[{pair[0]}]: writes the same series as instances[{pair[1]}] (same region, project_id and tags); "
            "add a tag to one of them, or merge the two"
        )
    folders = {instance.state_dir for instance in instances} - {None}
    if len(folders) > 1:
        raise ConfigError(
            f"instances: have {len(folders)} different state_dir; use one, so that instances with the same access key "
            "share its refusals"
        )
    return instances


def with_defaults(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Dict[str, Any]:
    """Complete an entry of `instances` with the values of `init_config`. A key without a value counts as left out."""
    values = {**defaults, **{config_key: value for config_key, value in entry.items() if value is not None}}
    return {config_key: value for config_key, value in values.items() if value is not None}


def load_instance(entry: Any, defaults: Mapping[str, Any], path: str, now: Optional[float] = None) -> Instance:
    """Convert one entry of `instances`; raise ConfigError for the first error.

    Args:
        entry: the mapping as parsed.
        defaults: the mapping of `init_config`, with known keys.
        path: the path of the entry, for errors.
        now: seconds since 1970.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as `region`")
    _check_keys(entry, path)
    values = with_defaults(entry, defaults)

    def place(at: str) -> str:
        config_key = at.partition(".")[0].partition("[")[0]
        is_default = entry.get(config_key) is None and config_key in defaults
        return f"{'init_config' if is_default else path}.{at}"

    for config_key, read in READERS.items():
        if config_key in MAY_BE_EMPTY and values.get(config_key) == []:
            del values[config_key]
        if config_key in values:
            values[config_key] = read(values[config_key], place(config_key))
    region = str(values.get("region", DEFAULT_REGION))
    for config_key, host in HOSTS.items():
        values.setdefault(config_key, f"https://{host}.{region}.{DOMAINS.get(region, 'myhuaweicloud.com')}")
    try:
        instance = msgspec.convert(values, Instance)
    except msgspec.ValidationError as error:
        from .wrong_types import explain  # only a wrong file needs it

        at = str(error).partition(" - at `$.")[2].rstrip("`")
        raise ConfigError(f"{place(at)}: {explain(Instance, values, at)}") from None
    if instance.teams:
        instance = _with_labels_of_teams(instance)
    validate(instance, place, int((time.time() if now is None else now) * 1000))
    return instance


def _with_labels_of_teams(instance: Instance) -> Instance:
    """Report each label of a team separately, after the configured labels."""
    labels = [label for team in instance.teams.values() for label in team.api_keys]
    return replace(instance, per_api_key=True, api_keys=tuple(dict.fromkeys([*(instance.api_keys or ()), *labels])))


def _check_keys(mapping: Mapping[Any, Any], path: str) -> None:
    check_keys(mapping, INSTANCE_KEYS, path)
    for config_key, struct in (("credentials", CredentialsSource), ("proxy", Proxy)):
        if isinstance(mapping.get(config_key), dict):
            check_keys(mapping[config_key], struct.__struct_fields__, f"{path}.{config_key}")
