"""The series of models: how each is named in the ledger and tagged, and what its hours are made of."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from ...cloud.cloud_eye import HOURLY_METRICS, Data, DataQuery, Dimensions
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
"""After an hour's end, until what Cloud Eye says of it is final: a minute is complete five minutes after its end."""


class Measurements(Struct, frozen=True):
    """Hold the measurements of a series."""

    minute: str
    hourly: str
    consumed: str
    cost_hourly: str
    cost_consumed: str


OF_MODEL = Measurements(MODEL, MODEL_HOURLY, MODEL_CONSUMED, MODEL_COST_HOURLY, MODEL_COST_CONSUMED)
OF_KEY = Measurements(MODEL_KEY, MODEL_KEY_HOURLY, MODEL_KEY_CONSUMED, MODEL_KEY_COST_HOURLY, MODEL_KEY_COST_CONSUMED)


def measurements_of(dimensions: Dimensions) -> Measurements:
    """Find the measurements of a model, or of a key of it: the two overlap, so they are never the same."""
    return OF_KEY if dimensions.key_id else OF_MODEL


def model_tags(instance: Instance, dimensions: Dimensions) -> Dict[str, str]:
    """Tag a series by its ids, and by names for people. Which names keys have is not known: the id serves."""
    model = instance.model_names.get(dimensions.api_id, dimensions.api_id)
    tags = {"maas_api_id": dimensions.api_id, "model": model}
    return {**tags, "maas_key_id": dimensions.key_id, "api_key": dimensions.key_id} if dimensions.key_id else tags


def model_series_name(endpoint: str, project_id: str, dimensions: Dimensions) -> str:
    """Name a series in the ledger by what decides its numbers."""
    text = repr(("cloud eye", endpoint, project_id, *dimensions))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def valid_hours(query: DataQuery, data: Data, dimensions: Dimensions) -> Iterator[Tuple[int, Values]]:
    """Go through the hours of an answer about one model, without those that are not believed."""
    values = data.values.get(dimensions, {})
    for at in range(query.start, query.until, HOUR):
        if (dimensions, at) not in data.doubted_hours:
            yield at, sum_metrics(values.get(at, {}))


def sum_metrics(of_hour: Mapping[str, float]) -> Values:
    """Add an hour up from its metrics; one that came with no value had none. Whole numbers, by decimal arithmetic."""
    total, prompt, completion, requests, *errors = (
        int(Decimal(repr(of_hour.get(name, 0.0))).to_integral_value(ROUND_HALF_UP)) for name in HOURLY_METRICS
    )
    return (total, prompt, completion, requests, sum(errors))


def pack_batches(
    models: Sequence[ListedModel], most: int, only_metrics: Optional[Sequence[str]] = None
) -> Iterator[Tuple[List[ListedModel], Tuple[Tuple[Dimensions, str], ...]]]:
    """Pack models into questions of at most so many metrics, each model whole; yield both.

    Args:
        models: what to ask about.
        most: metrics of one question.
        only_metrics: these metrics; all that are listed where none are given.
    """
    batch: List[ListedModel] = []
    metrics: List[Tuple[Dimensions, str]] = []
    for listed in models:
        own = [(listed.dimensions, name) for name in listed.metrics if only_metrics is None or name in only_metrics]
        if batch and len(metrics) + len(own) > most:
            yield batch, tuple(metrics)
            batch, metrics = [], []
        batch.append(listed)
        metrics += own
    if batch:
        yield batch, tuple(metrics)
