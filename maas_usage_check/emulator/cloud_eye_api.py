"""Cloud Eye's list of metrics and their values, as strict about requests as its pages.

Assumptions beyond the pages: a value's timestamp is the start of its minute; the current period is answered as far as
it is known; a value that was not reported is left out, not 0; an unknown field is an error. Of the periods and filters
it has the two that the plugin uses. A longer body than the limit is an invalid one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import itemgetter
from typing import Any, Callable, Collection, Dict, Iterator, List, Optional, Tuple

import msgspec
from msgspec import Struct

from .callers import MINUTE, Minute
from .simulated_models import Series, SimulatedModels
from .traffic import DAY, HOUR, Ms, Usage
from .wire import Refusal, SignedRequest, read_json_object

NAMESPACE = "SYS.MaaS"
COUNTS: Dict[str, Callable[[Usage], float]] = {
    "rpm": lambda usage: usage.requests,
    "tpm": lambda usage: usage.total_tokens / 1000,
    "prompt_tokens": lambda usage: usage.prompt_tokens,
    "completion_tokens": lambda usage: usage.completion_tokens,
    "total_tokens": lambda usage: usage.total_tokens,
    "req_count_4xx": lambda usage: usage.errors - usage.errors_5xx,
    "req_count_5xx": lambda usage: usage.errors_5xx,
    "req_count": lambda usage: usage.requests,
}
"""Metrics that add up. The real cloud lists `req_count`, but no page documents it: a client ignores it."""
MEANS: Dict[str, Callable[[Minute], Optional[float]]] = {
    "ttft": lambda minute: minute.ttft_ms,
    "tpot": lambda minute: minute.tpot_ms,
    "latency_avg": lambda minute: minute.latency_ms,
    "req_error_rate": lambda minute: 100 * minute.usage.errors / minute.usage.requests,
    "ttft_p99": lambda minute: minute.ttft_ms and 3 * minute.ttft_ms,
}
"""Metrics that do not add up. `ttft_p99` is undocumented, like `req_count`."""
UNITS = {**dict.fromkeys(COUNTS, "Count"), **{name: "%" if name == "req_error_rate" else "ms" for name in MEANS}}
MAX_METRICS = 500
MAX_POINTS = 3_000
"""Metrics x periods; with more, `from` is moved up silently."""
MAX_BODY_BYTES = 512 * 1024
MAX_PAGE = 1_000
PERIODS = {("1", "average"): (MINUTE, 4 * HOUR), ("3600", "sum"): (HOUR, 10 * DAY)}
"""By period and filter: its length, and how far before `to` it reaches, milliseconds."""
LISTED_FOR = 3 * HOUR


class MetricQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A metric in a query."""

    namespace: str
    metric_name: str
    dimensions: List[Dict[str, str]]

    def __post_init__(self) -> None:
        """Raise ValueError for a metric that Cloud Eye refuses."""
        if any(set(dimension) != {"name", "value"} for dimension in self.dimensions):
            raise ValueError("a dimension must have name and value, and nothing else")
        names = [dimension["name"] for dimension in self.dimensions]
        texts = [self.namespace, self.metric_name, *names, *(dimension["value"] for dimension in self.dimensions)]
        if not 1 <= len(names) == len(set(names)) or not all(texts):
            raise ValueError("a metric must have a namespace, a name, and dimensions, each given once")


class DataQuery(Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """The body of a query for the values of metrics."""

    metrics: List[MetricQuery]
    start: int
    to: int
    period: str
    filter: str

    def __post_init__(self) -> None:
        """Raise ValueError for a body that Cloud Eye refuses."""
        if not 1 <= len(self.metrics) <= MAX_METRICS:
            raise ValueError(f"metrics must be 1 to {MAX_METRICS}")
        if not 0 <= self.start < self.to:
            raise ValueError("from and to must be milliseconds, and from < to")
        if (self.period, self.filter) not in PERIODS:
            raise ValueError("period and filter must be 1 and average, or 3600 and sum")


def cloud_eye_error(status: int, code: str, details: str) -> Dict[str, Any]:
    """Format an error like Cloud Eye."""
    return {"http_code": status, "message": {"code": code, "details": details}}


def list_metrics(models: SimulatedModels, request: SignedRequest, now: Ms) -> Dict[str, Any]:
    """Answer with one page of the list."""
    query = dict(request.query)
    if len(query) < len(request.query) or set(query) - {"namespace", "limit", "start"}:
        raise _invalid("a query parameter is unknown or given twice")
    namespace, limit, start = (query.get(*one) for one in (("namespace", ""), ("limit", "1000"), ("start", "")))
    if not re.fullmatch(r"[A-Za-z]\w*\.[A-Za-z]\w*", namespace, re.ASCII):
        raise _invalid("namespace must be in the format of service.item")
    if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise _invalid(f"limit must be 1 to {MAX_PAGE}")
    if "start" in query and not re.fullmatch(re.escape(namespace) + r"\.\w+\.[\w-]+:[\w,:-]+", start, re.ASCII):
        raise _invalid("start must be the marker of a page")
    metrics = [
        (f"{NAMESPACE}.{name}.{','.join(map(':'.join, dimensions.items()))}", name, dimensions)
        for dimensions, series, names in _listed(models)
        if namespace == NAMESPACE and models.has_reported(*series, now - LISTED_FOR, now)
        for name in names
    ]
    metrics.sort(key=itemgetter(0))
    first = bisect_right([marker for marker, _, _ in metrics], start)
    page = metrics[first : first + int(limit)]
    described = [
        {
            "namespace": NAMESPACE,
            "metric_name": name,
            "unit": UNITS[name],
            "dimensions": [{"name": dimension, "value": value} for dimension, value in dimensions.items()],
        }
        for _, name, dimensions in page
    ]
    marker = page[-1][0] if page else ""
    return {"metrics": described, "meta_data": {"count": len(page), "total": len(metrics), "marker": marker}}


def list_metric_data(models: SimulatedModels, request: SignedRequest, now: Ms) -> Dict[str, Any]:
    """Answer with the values of several metrics in the part of the window that the limits allow."""
    if len(request.body) > MAX_BODY_BYTES:
        raise _invalid("the body must be at most 512 KB")
    try:
        query = msgspec.convert(read_json_object(request), DataQuery)
    except (ValueError, msgspec.ValidationError) as error:  # of msgspec 0.18 it is no ValueError
        raise _invalid(str(error)) from None
    step, reach = PERIODS[query.period, query.filter]
    start = max(query.start, query.to - reach, query.to - MAX_POINTS * step // len(query.metrics))
    starts = range(start // step * step, query.to + models.inclusive_end, step)
    known = {frozenset(dimensions.items()): (series, names) for dimensions, series, names in _listed(models)}
    answered = []
    for metric in query.metrics:
        dimensions = frozenset((dimension["name"], dimension["value"]) for dimension in metric.dimensions)
        series, names = known.get(dimensions, (("", None), ()))
        is_known = metric.namespace == NAMESPACE and metric.metric_name in names
        values = _values(models, series, metric.metric_name, starts, now) if is_known else ()
        points = [{query.filter: float(value), "timestamp": at} for at, value in values]
        unit = UNITS.get(metric.metric_name, "") if metric.namespace == NAMESPACE else ""
        answered.append({**msgspec.to_builtins(metric), "unit": unit, "datapoints": points})
    return {"metrics": answered}


def _listed(models: SimulatedModels) -> Iterator[Tuple[Dict[str, str], Series, Collection[str]]]:
    """Iterate over the dimensions that there are, each with its series and the names of its metrics."""
    for model, key_id in models.series:
        if key_id is None:
            yield {"maas_service_name": f"service-{model[:8]}"}, (model, None), ("total_tokens",)
            yield {"maas_api_id": model}, (model, None), UNITS
        else:
            yield {"maas_api_id": model, "maas_key_id": key_id}, (model, key_id), UNITS


def _values(models: SimulatedModels, series: Series, name: str, starts: range, now: Ms) -> Iterator[Tuple[Ms, float]]:
    """Iterate over the values of a metric that are available at `now`, each with the start of its period."""
    if starts.step == HOUR:
        hours = ((at, models.hour(*series, at, now)) for at in starts)
        yield from ((at, COUNTS[name](usage)) for at, usage in hours if usage.requests and name in COUNTS)
        return
    for at, minute in models.available_minutes(*series, starts.start, starts.stop, now):
        value = COUNTS[name](minute.usage) if name in COUNTS else MEANS[name](minute)
        if value is not None:
            yield at, value


def _invalid(details: str) -> Refusal:
    return Refusal(400, "ces.0014", details, cloud_eye_error)
