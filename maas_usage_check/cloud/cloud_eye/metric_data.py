"""The values of many metrics in one window: BatchListMetricData."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import msgspec
from msgspec import Struct

from ..json_body import bad_answer, undecodable
from ..source import Call, Send
from .known_metrics import MAX_ANSWER_BYTES, METRICS, NAMESPACE, Dimensions
from .limits import check_metric_count, check_value_count
from .metric_list import Dimension, read_dimensions

MINUTE = 60_000
HOUR = 60 * MINUTE
"""Milliseconds."""
TOKENS = ("total_tokens", "prompt_tokens", "completion_tokens")
MAX_METRICS = 500
MAX_POINTS = 3000
"""Of a whole answer; what is beyond is left out in silence."""
MAX_VALUE = 1e14
"""More than any team uses, and still a whole number that everybody can hold."""
PERIODS = {MINUTE: ("1", "average"), HOUR: ("3600", "sum")}
"""How a period is written, and what is asked of it: the raw value of a minute, the sum of an hour's."""

Values = Dict[int, Dict[str, float]]
"""By when a period begins, in milliseconds, and the metric's id."""


class DataQuery(Struct, frozen=True):
    """Ask for metrics of `[start, until)`, in milliseconds, full periods."""

    metrics: Tuple[Tuple[Dimensions, str], ...]
    start_ms: int
    until_ms: int
    period_ms: int


class MetricData(NamedTuple):
    """Hold what was answered: values in the cloud's unit, a sentence for each that is not believed, and whose they are.

    A metric without a value had none; of what is doubted, all of a model or one hour of it, that is not known.
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
    """Tell how many metrics an answer can hold of so many periods: one more may come, for `from` is rounded down."""
    return min(MAX_METRICS, (MAX_POINTS - 1) // (periods + 1))


def fetch_metric_data(query: DataQuery, send: Send) -> MetricData:
    """Ask for the values; raise QueryError where nothing of the answer can be believed."""
    period, asked_for = PERIODS[query.period_ms]
    body: Dict[str, Any] = {
        "metrics": [
            {"namespace": NAMESPACE, "metric_name": name, "dimensions": _written(dimensions)}
            for dimensions, name in query.metrics
        ],
        "from": query.start_ms,
        "to": query.until_ms - 1,
        "period": period,
        "filter": asked_for,
    }
    path = "/V1.0/{project_id}/batch-query-metric-data"
    call = Call(
        "cloud_eye", "ces:metricData:list", "POST", "cloud_eye_endpoint", path, body=body, max_bytes=MAX_ANSWER_BYTES
    )
    received = send(call)
    check_value_count(received, len(query.metrics), MAX_POINTS)
    try:
        answer = _ANSWER.decode(received)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise undecodable(received, f"the metric data are not as documented ({error})") from None
    check_metric_count(len(answer.metrics), len(query.metrics))
    return _read(query, answer.metrics, asked_for)


def _read(query: DataQuery, given: Sequence[msgspec.Raw], asked_for: str) -> MetricData:
    data, points = MetricData({}, [], set(), set()), 0
    missing = set(query.metrics)
    for raw in given:
        try:
            metric = _METRIC.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            data.warnings.append(f"a metric is not as documented ({error})")
            continue
        points += len(metric.datapoints)
        dimensions = read_dimensions(metric.dimensions)
        if dimensions is None or (dimensions, metric.metric_name) not in missing:
            data.warnings.append(f"`{metric.metric_name[:40]}` was not asked for, or comes twice")
            continue
        values, doubt = _values(query, metric, asked_for)
        if doubt:
            data.warnings.append(f"`{metric.metric_name}` of {dimensions.api_id} {doubt}")
            data.invalid.add(dimensions)
        missing.remove((dimensions, metric.metric_name))
        of_series = data.values.setdefault(dimensions, {})
        for at, value in values.items():
            of_series.setdefault(at, {})[metric.metric_name] = value
    if points >= MAX_POINTS:
        raise bad_answer(f"it has {points:,} data points, and the cloud leaves out what is beyond {MAX_POINTS:,}")
    if missing:
        dimensions, name = min(missing)
        data.warnings.append(
            f"{len(missing):,} of the {len(query.metrics):,} metrics that were asked for did not come, such as "
            f"`{name}` of {dimensions.api_id}"
        )
        data.invalid.update(dimensions for dimensions, _ in missing)
    if data.invalid.issuperset(dimensions for dimensions, _ in query.metrics):
        raise bad_answer(data.warnings[0])
    if query.period_ms == HOUR:
        _check_hours(data)
    return data


def _check_hours(data: MetricData) -> None:
    """Doubt each hour whose total is less than its parts."""
    for dimensions, hours in data.values.items():
        for at, values in hours.items():
            total, *parts = (Decimal(repr(values.get(name, 0.0))) for name in TOKENS)
            if total < sum(parts):
                data.invalid_hours.add((dimensions, at))
                data.warnings.append(
                    f"an hour of {dimensions.api_id} has fewer tokens in all ({total}) than in its parts"
                )


def _values(query: DataQuery, metric: _Metric, asked_for: str) -> Tuple[Dict[int, float], str]:
    """Read the values of one metric, or say what is wrong with them."""
    unit = METRICS[metric.metric_name].unit
    largest = 100.0 if unit == "%" else MAX_VALUE
    if metric.unit != unit:
        return {}, f"comes in {f'`{metric.unit[:20]}`' if metric.unit else 'no unit'}, where `{unit}` is expected"
    values: Dict[int, float] = {}
    for point in metric.datapoints:
        at, value = point.timestamp // query.period_ms * query.period_ms, getattr(point, asked_for)
        if value is None or not 0 <= value <= largest:
            return {}, f"has a value that is none ({value})"
        # One point more than asked may come before the window, and one at its end where that counts as inside.
        if at in (query.start_ms - query.period_ms, query.until_ms):
            continue
        if not query.start_ms <= at < query.until_ms:
            return {}, f"has a value outside the window that was asked ({point.timestamp})"
        if at in values:
            return {}, f"has two values for one {'minute' if query.period_ms == MINUTE else 'hour'}"
        values[at] = value
    return values, ""


def _written(dimensions: Dimensions) -> List[Dict[str, str]]:
    named = {"maas_api_id": dimensions.api_id, "maas_key_id": dimensions.key_id}
    return [{"name": name, "value": value} for name, value in named.items() if value]
