"""What the user wrote: YAML to frozen values, each error naming the key and the remedy."""

from __future__ import annotations

from .instance import INFER_TYPES, ONLINE_EXPERIENCE, CredentialsSource, Instance, ServiceType, is_project_id
from .known_keys import INLINE_SECRET, is_secret
from .load import load, load_file, load_instance
from .load_warnings import load_warnings

__all__ = [
    "INFER_TYPES", "INLINE_SECRET", "ONLINE_EXPERIENCE", "CredentialsSource", "Instance", "ServiceType",
    "is_project_id", "is_secret", "load", "load_file", "load_instance", "load_warnings",
]  # fmt: skip
