"""Two instances that would write the same series, and more series than can ever be asked for: both are refused."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

from ..errors import ConfigError
from ..metrics import plain_name
from .instance import Instance

MOST_SERIES = 10_000
"""Of a file: 100 a minute, which is the default, would take over an hour and a half."""


def check_series(instances: Sequence[Instance]) -> None:
    """Raise ConfigError for the first instance that brings either."""
    first: Dict[Any, Dict[Optional[str], int]] = {}
    series = 0
    for i, instance in enumerate(instances):
        tags = frozenset((plain_name(key), value) for key, value in instance.user_tags.items())
        before = first.setdefault((instance.region, tags), {})
        # A project that is looked up may turn out to be the other's.
        alike = (
            before.values()
            if instance.project_id is None
            else [before[p] for p in (instance.project_id, None) if p in before]
        )
        for k in sorted(alike)[:1]:
            raise ConfigError(
                f"instances[{i}]: would write the same series as instances[{k}], being alike in region, project_id "
                "and tags; give one of them another tag, or put what both ask into one instance"
            )
        before[instance.project_id] = i
        labels = len(instance.api_keys or ()) if instance.per_api_key else 0
        series += len(instance.ranges) * len(instance.service_types) * len(instance.infer_types) * (1 + labels)
        if series > MOST_SERIES:
            raise ConfigError(
                f"instances[{i}]: brings the file to {series:,} series (ranges x service types x infer types, and with "
                f"per_api_key as many again for each label), but at most {MOST_SERIES:,} are taken"
            )
