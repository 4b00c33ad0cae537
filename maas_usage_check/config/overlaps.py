"""Instances that overlap: they write the same series, or count the same calls."""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

from ..metrics import plain_name
from .instance import Instance

Scope = Tuple[Any, List[FrozenSet[Any]]]
"""A value that must be equal, and sets that must have a value in common; an empty set stands for all values."""


def series(instance: Instance) -> Scope:
    """Return which series an instance writes. Without project_id, the lookup may return that of another instance."""
    tags = frozenset((plain_name(name), value) for name, value in instance.user_tags.items())
    return (instance.region, tags), [_project(instance)]


def calls(instance: Instance) -> Scope:
    """Return which calls an instance counts, and in which ranges."""
    names = [span.name for span in instance.ranges]
    labels = () if instance.per_api_key else instance.api_keys or ()
    loose = (names, instance.service_types, instance.infer_types, labels, instance.ips or ())
    return (instance.region, instance.endpoint, instance.credentials), [_project(instance), *map(frozenset, loose)]


def models(instance: Instance) -> Scope:
    """Return which models an instance reports."""
    account = (instance.cloud_eye_endpoint, instance.credentials)
    return account if instance.models else object(), [_project(instance)]


def first_overlap(instances: Sequence[Instance], scope: Callable[[Instance], Scope]) -> Optional[Tuple[int, int]]:
    """Return the indices of the first instance that overlaps an earlier one, and of that one."""
    groups: Dict[Any, List[Tuple[int, List[FrozenSet[Any]]]]] = {}
    for i, instance in enumerate(instances):
        group, own = scope(instance)
        earlier = groups.setdefault(group, [])
        for k, others in earlier:
            if all(not one or not other or not one.isdisjoint(other) for one, other in zip(own, others)):
                return i, k
        earlier.append((i, own))
    return None


def _project(instance: Instance) -> FrozenSet[str]:
    return frozenset({instance.project_id} if instance.project_id else ())
