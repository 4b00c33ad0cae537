"""Cloud Eye as a source of minutes and hours of models."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Dict, Iterator, List, Mapping, Protocol, Sequence, Tuple, TypeVar, Union

from ...config import Instance
from ...metrics import (
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
)
from ..source import HourSeries, Measurements, Plan, Send, series_name
from ..usage import Usage
from .known_metrics import HOURLY_METRICS, Dimensions
from .metric_data import (
    HOUR,
    MAX_BODY_BYTES,
    METRIC_BYTES,
    MINUTE,
    DataQuery,
    MetricData,
    fetch_metric_data,
    max_metrics_per_query,
)
from .metric_list import ListQuery, fetch_page

SETTLED_AFTER = 30 * MINUTE
"""An hour is final so long after its end: a minute is complete five minutes after its own."""
OF_MODELS = Measurements(MODEL_HOURLY, MODEL_CONSUMED, MODEL_COST_HOURLY, MODEL_COST_CONSUMED)
OF_KEYS = Measurements(MODEL_KEY_HOURLY, MODEL_KEY_CONSUMED, MODEL_KEY_COST_HOURLY, MODEL_KEY_COST_CONSUMED)
"""A model and one key of it overlap, so they are in different measurements."""


class HasMetrics(Protocol):
    """A model, or one key of it, and its metrics."""

    dimensions: Dimensions
    metrics: List[str]


Listed = TypeVar("Listed", bound=HasMetrics)


class CloudEye:
    """Query Cloud Eye; see Source. It has no ranges. The planner `sweep` finds its hours."""

    name = "cloud_eye"
    endpoint_key = "cloud_eye_endpoint"

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        """Plan no ranges."""
        return Plan()

    def ask(self, query: Union[ListQuery, DataQuery], send: Send) -> Any:
        """Fetch a page of the list of metrics, or metric data."""
        return fetch_page(query, send) if isinstance(query, ListQuery) else fetch_metric_data(query, send)

    def data_queries(
        self, models: Sequence[Listed], start_ms: int, until_ms: int, period_ms: int
    ) -> Iterator[Tuple[DataQuery, List[Listed]]]:
        """Yield the queries of models in a window of whole periods, each with its models; none is split over two.

        `period_ms`: HOUR queries the metrics that an hour needs, MINUTE all that are listed.
        """
        max_metrics = max_metrics_per_query((until_ms - start_ms) // period_ms)
        batch: List[Listed] = []
        metrics: List[Tuple[Dimensions, str]] = []
        body_bytes = 0
        for listed in models:
            own = [(listed.dimensions, name) for name in listed.metrics if period_ms != HOUR or name in HOURLY_METRICS]
            own_bytes = len(own) * (METRIC_BYTES + len(json.dumps(listed.dimensions)))
            if batch and (len(metrics) + len(own) > max_metrics or body_bytes + own_bytes > MAX_BODY_BYTES):
                yield DataQuery(tuple(metrics), start_ms, until_ms, period_ms), batch
                batch, metrics, body_bytes = [], [], 0
            batch.append(listed)
            metrics += own
            body_bytes += own_bytes
        if batch:
            yield DataQuery(tuple(metrics), start_ms, until_ms, period_ms), batch

    def hour_series(self, instance: Instance, project_id: str, dimensions: Dimensions) -> HourSeries:
        """Describe the hours of a model, or of one key of it."""
        api_id = dimensions.api_id
        return HourSeries(
            series_name("cloud eye", instance.cloud_eye_endpoint, project_id, *dimensions),
            dimensions,
            OF_KEYS if dimensions.key_id else OF_MODELS,
            model_tags(instance, dimensions),
            SETTLED_AFTER,
            instance.prices_of(api_id),
            instance.prices.currency if instance.prices else "",
        )

    def valid_hours(self, query: DataQuery, data: MetricData, dimensions: Dimensions) -> Dict[int, Usage]:
        """Return the hours of one model from an answer by their start, without those with a rejected value."""
        values = data.values.get(dimensions, {})
        starts = range(query.start_ms, query.until_ms, HOUR)
        return {at: sum_metrics(values.get(at, {})) for at in starts if (dimensions, at) not in data.invalid_hours}


def model_tags(instance: Instance, dimensions: Dimensions) -> Dict[str, str]:
    """Return the tags of a series: ids, names for people (without one, the id), and with `teams` the key's owner."""
    api_id, key_id = dimensions
    tags = {"maas_api_id": api_id, "model": instance.model_names.get(api_id, api_id)}
    if not key_id:
        return tags
    name = instance.key_names.get(key_id, key_id)
    return {**tags, "maas_key_id": key_id, "api_key": name, **instance.owner_tags(name)}


def sum_metrics(metrics: Mapping[str, float]) -> Usage:
    """Return the usage of an hour from its metrics, in whole numbers by decimal arithmetic. A missing metric is 0."""
    total, prompt, completion, requests, *errors = (
        int(Decimal(repr(metrics.get(name, 0.0))).to_integral_value(ROUND_HALF_UP)) for name in HOURLY_METRICS
    )
    return Usage(total, prompt, completion, requests, sum(errors))
