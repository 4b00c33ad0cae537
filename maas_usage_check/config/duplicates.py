"""Refuse instances that write the same series, and more series than the rate limit can serve."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

from ..errors import ConfigError
from ..metrics import plain_name
from .instance import Instance

MAX_SERIES = 10_000
"""Per file. At the default of 100 requests a minute, one cycle would take over an hour and a half."""


def check_series(instances: Sequence[Instance]) -> None:
    """Raise ConfigError for the first instance that repeats the series of another, or exceeds MAX_SERIES."""
    seen: Dict[Any, Dict[Optional[str], int]] = {}
    series_count = 0
    for i, instance in enumerate(instances):
        tags = frozenset((plain_name(key), value) for key, value in instance.user_tags.items())
        indices = seen.setdefault((instance.region, tags), {})
        # Without project_id, the lookup may return the project of the other instance.
        duplicates = (
            indices.values()
            if instance.project_id is None
            else [indices[p] for p in (instance.project_id, None) if p in indices]
        )
        for k in sorted(duplicates)[:1]:
            raise ConfigError(
                f"instances[{i}]: writes the same series as instances[{k}] (same region, project_id and tags); add a "
                "tag to one of them, or merge the two"
            )
        indices[instance.project_id] = i
        labels = len(instance.api_keys or ()) if instance.per_api_key else 0
        series_count += len(instance.ranges) * len(instance.service_types) * len(instance.infer_types) * (1 + labels)
        if series_count > MAX_SERIES:
            raise ConfigError(
                f"instances[{i}]: {series_count:,} series up to here (ranges x service types x infer types, and with "
                f"per_api_key as many again for each label); at most {MAX_SERIES:,} are allowed"
            )
