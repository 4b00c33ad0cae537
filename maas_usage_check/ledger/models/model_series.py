"""The series of models: their names in the ledger, measurements, tags and values."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, DataQuery, Dimensions, MetricData
from ...config import Instance
from ...metrics import (
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
)
from ..hour_values import HOUR, MINUTE, Values
from .model_list import ListedModel

SETTLED_AFTER = 30 * MINUTE
"""An hour is final so long after its end: a minute is complete five minutes after its own."""


class Measurements(Struct, frozen=True):
    """The measurements of a series."""

    minute: str
    hourly: str
    consumed: str
    cost_hourly: str
    cost_consumed: str


MODEL_MEASUREMENTS = Measurements(MODEL, MODEL_HOURLY, MODEL_CONSUMED, MODEL_COST_HOURLY, MODEL_COST_CONSUMED)
KEY_MEASUREMENTS = Measurements(
    MODEL_KEY, MODEL_KEY_HOURLY, MODEL_KEY_CONSUMED, MODEL_KEY_COST_HOURLY, MODEL_KEY_COST_CONSUMED
)


def measurements_of(dimensions: Dimensions) -> Measurements:
    """Return the measurements of a model or of one key of it: the two overlap, so they are in different ones."""
    return KEY_MEASUREMENTS if dimensions.key_id else MODEL_MEASUREMENTS


def model_tags(instance: Instance, dimensions: Dimensions) -> Dict[str, str]:
    """Return the tags of a series: ids, and names for people. The names of keys are not known: their id is used."""
    model = instance.model_names.get(dimensions.api_id, dimensions.api_id)
    tags = {"maas_api_id": dimensions.api_id, "model": model}
    return {**tags, "maas_key_id": dimensions.key_id, "api_key": dimensions.key_id} if dimensions.key_id else tags


def model_series_name(endpoint: str, project_id: str, dimensions: Dimensions) -> str:
    """Return the name of a series in the ledger: a digest of all that decides its numbers."""
    text = repr(("cloud eye", endpoint, project_id, *dimensions))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def valid_hours(query: DataQuery, data: MetricData, dimensions: Dimensions) -> Iterator[Tuple[int, Values]]:
    """Yield the hours of one model from an answer, without those with a rejected value."""
    values = data.values.get(dimensions, {})
    for at in range(query.start_ms, query.until_ms, HOUR):
        if (dimensions, at) not in data.invalid_hours:
            yield at, sum_metrics(values.get(at, {}))


def sum_metrics(metrics: Mapping[str, float]) -> Values:
    """Return the values of an hour from its metrics, in whole numbers by decimal arithmetic. A missing metric is 0."""
    total, prompt, completion, requests, *errors = (
        int(Decimal(repr(metrics.get(name, 0.0))).to_integral_value(ROUND_HALF_UP)) for name in HOURLY_METRICS
    )
    return (total, prompt, completion, requests, sum(errors))


def pack_batches(
    models: Sequence[ListedModel], max_metrics: int, only_metrics: Optional[Sequence[str]] = None
) -> Iterator[Tuple[List[ListedModel], Tuple[Tuple[Dimensions, str], ...]]]:
    """Pack models into queries, never splitting a model; yield the models and metrics of each.

    Args:
        models: to query.
        max_metrics: of one query.
        only_metrics: query these; None queries all that are listed.
    """
    batch: List[ListedModel] = []
    metrics: List[Tuple[Dimensions, str]] = []
    for listed in models:
        own = [(listed.dimensions, name) for name in listed.metrics if only_metrics is None or name in only_metrics]
        if batch and len(metrics) + len(own) > max_metrics:
            yield batch, tuple(metrics)
            batch, metrics = [], []
        batch.append(listed)
        metrics += own
    if batch:
        yield batch, tuple(metrics)
