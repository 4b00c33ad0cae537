"""BatchListMetricData: the values of many metrics in one window."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import msgspec
from msgspec import Struct

from ..json_body import bad_answer, undecodable
from ..source import Call, Send
from .known_metrics import (
    MAX_ANSWER_BYTES,
    METRICS,
    NAMESPACE,
    NOT_QUERIED,
    Dimensions,
    check_metric_count,
    check_value_count,
)
from .metric_list import Dimension, read_dimensions

MINUTE = 60_000
HOUR = 60 * MINUTE
"""Milliseconds."""
TOKENS = ("total_tokens", "prompt_tokens", "completion_tokens")
MAX_METRICS, MAX_POINTS, MAX_BODY_BYTES = 500, 3000, 512_000
"""Per query. Points are metrics x periods; beyond that the cloud silently moves `from` up and omits the oldest."""
METRIC_BYTES = 160
"""Of one metric in the body at most, without the values of its dimensions."""
MAX_VALUE = 1e14
"""More than any team uses, and still exact as a float."""
PERIODS = {MINUTE: ("1", "average", 4 * HOUR), HOUR: ("3600", "sum", 240 * HOUR)}
"""The API's name of a period, its aggregation, and how far before `to` it reaches, in milliseconds.

The aggregation is the raw value of a minute, the sum of an hour. The cloud silently moves an earlier `from` up.
"""

Values = Dict[int, Dict[str, float]]
"""By the start of the period, in milliseconds, and the metric's name."""


class DataQuery(Struct, frozen=True):
    """Query metrics in `[start_ms, until_ms)`, whole periods of `period_ms`."""

    metrics: Tuple[Tuple[Dimensions, str], ...]
    start_ms: int
    until_ms: int
    period_ms: int


class MetricData(NamedTuple):
    """Hold the values in the cloud's unit, a warning per invalid metric, and the models and hours that are invalid.

    A metric without values had no usage. The values of an invalid model or hour are unknown.
    """

    values: Dict[Dimensions, Values]
    warnings: List[str]
    invalid: Set[Dimensions]
    invalid_hours: Set[Tuple[Dimensions, int]]


class _Point(Struct):
    timestamp: int
    average: Optional[float] = None
    sum: Optional[float] = None


class _Metric(Struct):
    metric_name: str
    dimensions: List[Dimension]
    datapoints: List[_Point]
    unit: str = ""


class _Answer(Struct):
    metrics: List[msgspec.Raw]


_ANSWER, _METRIC = msgspec.json.Decoder(_Answer), msgspec.json.Decoder(_Metric)


def max_metrics_per_query(periods: int) -> int:
    """Return how many metrics of this many periods fit into a query; `from` is rounded down, so one more may come."""
    return min(MAX_METRICS, (MAX_POINTS - 1) // (periods + 1))


def fetch_metric_data(query: DataQuery, send: Send) -> MetricData:
    """Fetch the values; raise QueryError if the whole answer is invalid."""
    period, aggregation, reach_ms = PERIODS[query.period_ms]
    body: Dict[str, Any] = {
        "metrics": [
            {"namespace": NAMESPACE, "metric_name": name, "dimensions": _dimension_list(dimensions)}
            for dimensions, name in query.metrics
        ],
        "from": query.start_ms,
        "to": query.until_ms - 1,
        "period": period,
        "filter": aggregation,
    }
    path = "/V1.0/{project_id}/batch-query-metric-data"
    call = Call("ces:metricData:list", "POST", path, body=body, max_bytes=MAX_ANSWER_BYTES)
    received = send(call)
    check_value_count(received, len(query.metrics), MAX_POINTS)
    try:
        answer = _ANSWER.decode(received)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise undecodable(received, f"the metric data are not as documented ({error})") from None
    check_metric_count(len(answer.metrics), len(query.metrics))
    if query.start_ms < query.until_ms - min(reach_ms, MAX_POINTS * query.period_ms // len(query.metrics)):
        size = f"{len(query.metrics):,} metrics x {(query.until_ms - query.start_ms) // query.period_ms:,} periods"
        raise bad_answer(f"its oldest points are missing, because {size} exceed the API's limit")
    return _read(query, answer.metrics, aggregation)


def _read(query: DataQuery, raw_metrics: Sequence[msgspec.Raw], aggregation: str) -> MetricData:
    data = MetricData({}, [], set(), set())
    missing = set(query.metrics)
    for raw in raw_metrics:
        try:
            metric = _METRIC.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            data.warnings.append(f"a metric is not as documented ({error})")
            continue
        dimensions = read_dimensions(metric.dimensions)
        if dimensions is None or (dimensions, metric.metric_name) not in missing:
            data.warnings.append(f"`{metric.metric_name[:40]}` was not queried, or comes twice")
            continue
        if metric.metric_name in NOT_QUERIED:  # from a list that an earlier version stored
            missing.remove((dimensions, metric.metric_name))
            continue
        values, reason = _values(query, metric, aggregation)
        if reason:
            data.warnings.append(f"`{metric.metric_name}` of {dimensions.api_id} {reason}")
            data.invalid.add(dimensions)
        missing.remove((dimensions, metric.metric_name))
        series_values = data.values.setdefault(dimensions, {})
        for at, value in values.items():
            series_values.setdefault(at, {})[metric.metric_name] = value
    if missing:
        dimensions, name = min(missing)
        data.warnings.append(
            f"{len(missing):,} of the {len(query.metrics):,} queried metrics are missing, such as "
            f"`{name}` of {dimensions.api_id}"
        )
        data.invalid.update(dimensions for dimensions, _ in missing)
    if data.invalid.issuperset(dimensions for dimensions, _ in query.metrics):
        raise bad_answer(data.warnings[0])
    if query.period_ms == HOUR:
        _check_hours(data)
    return data


def _check_hours(data: MetricData) -> None:
    """Mark each hour whose total is below the sum of its parts as invalid."""
    for dimensions, hours in data.values.items():
        for at, values in hours.items():
            total, *parts = (Decimal(repr(values.get(name, 0.0))) for name in TOKENS)
            if total < sum(parts):
                data.invalid_hours.add((dimensions, at))
                data.warnings.append(
                    f"an hour of {dimensions.api_id} has fewer total tokens ({total}) than prompt and completion tokens"
                )


def _values(query: DataQuery, metric: _Metric, aggregation: str) -> Tuple[Dict[int, float], str]:
    """Return the values of one metric, or the reason why they are invalid."""
    unit = METRICS[metric.metric_name].unit
    max_value = 100.0 if unit == "%" else MAX_VALUE
    if metric.unit != unit:
        return {}, f"has {f'the unit `{metric.unit[:20]}`' if metric.unit else 'no unit'}, expected `{unit}`"
    values: Dict[int, float] = {}
    for point in metric.datapoints:
        at, value = point.timestamp // query.period_ms * query.period_ms, getattr(point, aggregation)
        if value is None or not 0 <= value <= max_value:
            return {}, f"has an invalid value ({value})"
        # The cloud may send one extra point before the window, and one at its end if it treats `to` as inclusive.
        if at in (query.start_ms - query.period_ms, query.until_ms):
            continue
        if not query.start_ms <= at < query.until_ms:
            return {}, f"has a value outside the queried window ({point.timestamp})"
        if at in values:
            return {}, f"has two values for one {'minute' if query.period_ms == MINUTE else 'hour'}"
        values[at] = value
    return values, ""


def _dimension_list(dimensions: Dimensions) -> List[Dict[str, str]]:
    named = {"maas_api_id": dimensions.api_id, "maas_key_id": dimensions.key_id}
    return [{"name": name, "value": value} for name, value in named.items() if value]
