"""The rows of `report`: what was used in each span, by each kind of call."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import msgspec
from msgspec import Struct

from ...cloud.statistics import Answer, Totals
from ...cloud.usage import Usage
from ...collection import Batch
from ...config import ONLINE_EXPERIENCE, Instance
from ...metrics import API, Point
from .periods import Page, Span


class Row(Struct, frozen=True):
    """Hold one row; `label` is empty for the whole, `usage` None where the cloud did not answer in full."""

    span: Span
    service_type: str
    infer_type: str
    label: str
    usage: Optional[Usage]


def rows_of(page: Page, batch: Batch) -> List[Row]:
    """Make a row for each span, service type, inference type and label, answered or not."""
    names = ("range", "service_type", "infer_type", "api_key_label")
    points: Dict[Tuple[str, ...], Point] = {
        tuple(point.tags.get(name, "") for name in names): point for point in batch.points if point.measurement != API
    }
    instance = page.instance
    labels = [label or ONLINE_EXPERIENCE for label in instance.api_keys or ()] if instance.per_api_key else []
    return [
        Row(span, service.name, infer, label, _usage(points.get((span.name, service.name, infer, label))))
        for label in ("", *labels)
        for infer in instance.infer_types
        for span in page.spans
        for service in instance.service_types
    ]


def total(usages: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Add up what does not overlap; None where a part is missing, for the rest would look like less use."""
    whole: Optional[Usage] = None
    for usage in usages:
        if usage is None:
            return None
        whole = usage if whole is None else whole + usage
    return whole


def label_questions(page: Page) -> List[Instance]:
    """Ask for each of several labels alone, over the longest range: their sum does not tell which had no call."""
    labels = page.asked.api_keys or ()
    if page.asked.per_api_key or len(labels) < 2 or not page.ranges:
        return []
    longest = max(page.ranges, key=lambda span: span.end - span.start).name
    ranges = tuple(span for span in page.asked.ranges if span.name == longest)
    return [msgspec.structs.replace(page.asked, api_keys=(label,), ranges=ranges) for label in labels if label]


def silent_labels(asked: Instance, batches: Sequence[Batch]) -> Iterator[str]:
    """Name by their place the labels that were asked for alone and had no call; "" cannot be misspelt.

    A label itself is named only where it is a tag.
    """
    labels = asked.api_keys or ()
    for place, label in enumerate(labels, 1):
        outcomes = [
            outcome
            for batch in batches
            for query, outcome in batch.outcomes.items()
            if isinstance(query, Totals) and query.api_keys == (label,)
        ]
        silent = all(isinstance(outcome, Answer) and not outcome.usage.requests for outcome in outcomes)
        if label and outcomes and silent:
            yield f"{place} of {len(labels)}" + (f" ({label})" if asked.per_api_key else "")


def _usage(point: Optional[Point]) -> Optional[Usage]:
    if point is None:
        return None
    return msgspec.convert({name: point.fields.get(name) for name in Usage.__struct_fields__}, Usage)
