"""The rows of `report`: the usage of each period, service type, inference type and API key label."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import msgspec
from msgspec import Struct

from ...cloud.statistics import TotalsAnswer, TotalsQuery
from ...cloud.usage import Usage
from ...collection import Batch
from ...config import ONLINE_EXPERIENCE, Instance
from ...metrics import API, Point
from .periods import Layout, Period


class UsageRow(Struct, frozen=True):
    """Hold one row; `label` is empty for all keys together, `usage` None if a query for it failed."""

    period: Period
    service_type: str
    infer_type: str
    label: str
    usage: Optional[Usage]


def make_usage_rows(layout: Layout, batch: Batch) -> List[UsageRow]:
    """Make a row for each label, inference type, period and service type, answered or not."""
    names = ("range", "service_type", "infer_type", "api_key_label")
    points: Dict[Tuple[str, ...], Point] = {
        tuple(point.tags.get(name, "") for name in names): point for point in batch.points if point.measurement != API
    }
    instance = layout.queried
    labels = [label or ONLINE_EXPERIENCE for label in instance.api_keys or ()] if instance.per_api_key else []
    return [
        UsageRow(
            period, service.name, infer_type, label, _usage(points.get((period.name, service.name, infer_type, label)))
        )
        for label in ("", *labels)
        for infer_type in instance.infer_types
        for period in layout.periods
        for service in instance.service_types
    ]


def sum_usages(usages: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Add up usages that do not overlap; None if one is unknown, since a partial sum looks like less use."""
    result: Optional[Usage] = None
    for usage in usages:
        if usage is None:
            return None
        result = usage if result is None else result + usage
    return result


def single_label_instances(layout: Layout) -> List[Instance]:
    """Make an instance per label, over the longest range: the sum of several labels hides an unused one."""
    labels = layout.configured.api_keys or ()
    if layout.configured.per_api_key or len(labels) < 2 or not layout.ranges:
        return []
    longest = max(layout.ranges, key=lambda period: period.end - period.start).name
    ranges = tuple(each for each in layout.configured.ranges if each.name == longest)
    return [msgspec.structs.replace(layout.configured, api_keys=(label,), ranges=ranges) for label in labels if label]


def unused_labels(instance: Instance, batches: Sequence[Batch]) -> Iterator[str]:
    """Yield the position of each label that was queried alone and had no call.

    The label itself is named only where it is a tag. The label "" is skipped: it cannot be misspelt.
    """
    labels = instance.api_keys or ()
    for position, label in enumerate(labels, 1):
        outcomes = [
            outcome
            for batch in batches
            for query, outcome in batch.outcomes.items()
            if isinstance(query, TotalsQuery) and query.api_keys == (label,)
        ]
        unused = all(isinstance(outcome, TotalsAnswer) and not outcome.usage.requests for outcome in outcomes)
        if label and outcomes and unused:
            yield f"{position} of {len(labels)}" + (f" ({label})" if instance.per_api_key else "")


def _usage(point: Optional[Point]) -> Optional[Usage]:
    if point is None:
        return None
    return msgspec.convert({name: point.fields.get(name) for name in Usage.__struct_fields__}, Usage)
