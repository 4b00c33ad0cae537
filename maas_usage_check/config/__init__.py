"""The configuration: YAML to frozen values.

`load_file` and `load` return instances or raise ConfigError, which names the path of the config key and the remedy.
`load_warnings` lists what is valid but probably a mistake. Nothing here knows the cloud or an agent.
"""

from __future__ import annotations

from .instance import INFER_TYPES, ONLINE_EXPERIENCE, CredentialsSource, Instance, Proxy, ServiceType, is_project_id
from .known_keys import INLINE_SECRET, is_secret
from .load import load, load_file, load_instance, with_defaults
from .load_warnings import load_warnings
from .yaml_file import decode_text

__all__ = [
    "INFER_TYPES", "INLINE_SECRET", "ONLINE_EXPERIENCE", "CredentialsSource", "Instance", "Proxy", "ServiceType",
    "decode_text", "is_project_id", "is_secret", "load", "load_file", "load_instance", "load_warnings", "with_defaults",
]  # fmt: skip
