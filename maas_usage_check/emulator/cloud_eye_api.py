"""Cloud Eye's list of metrics and their values, as strict about requests as its pages.

Assumptions beyond the pages: a value's timestamp is the start of its minute; the current period is answered as far as
it is known; a value that was not reported is left out, not 0; an unknown field is an error.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from .callers import MINUTE
from .metric_values import AGGREGATES, NAMESPACE, UNITS, metric_values
from .simulated_models import Series, SimulatedModels
from .traffic import HOUR, Ms
from .wire import Refusal, SignedRequest, read_json_object

MAX_METRICS = 500
MAX_POINTS = 3_000
MAX_PAGE = 1_000
PERIODS = {
    "1": (MINUTE, 4 * HOUR),
    "300": (5 * MINUTE, 24 * HOUR),
    "1200": (20 * MINUTE, 3 * 24 * HOUR),
    "3600": (HOUR, 10 * 24 * HOUR),
    "14400": (4 * HOUR, 30 * 24 * HOUR),
    "86400": (24 * HOUR, 180 * 24 * HOUR),
}
"""Length of each period, and how far before `to` it reaches, milliseconds."""
LISTED_FOR = 3 * HOUR
Metric = Tuple[str, str, Tuple[Tuple[str, str], ...]]
"""Its page marker, name and dimensions."""


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
    metrics = sorted(_all_metrics(models, now)) if namespace == NAMESPACE else []
    first = bisect_right([marker for marker, _, _ in metrics], start)
    page = metrics[first : first + int(limit)]
    return {
        "metrics": [_describe(namespace, name, dimensions) for _, name, dimensions in page],
        "meta_data": {"count": len(page), "total": len(metrics), "marker": page[-1][0] if page else ""},
    }


def list_metric_data(models: SimulatedModels, request: SignedRequest, now: Ms) -> Dict[str, Any]:
    """Answer with the values of several metrics, up to MAX_POINTS in total."""
    try:
        query = read_json_object(request)
        _validate(query)
    except ValueError as error:
        raise _invalid(str(error)) from None
    step, reach = PERIODS[query["period"]]
    to, aggregate = query["to"], query["filter"]
    starts = range(max(query["from"], to - reach) // step * step, to + models.inclusive_end, step)
    room = MAX_POINTS
    answered = []
    for metric in query["metrics"]:
        dimensions = tuple((dimension["name"], dimension["value"]) for dimension in metric["dimensions"])
        description = _describe(metric["namespace"], metric["metric_name"], dimensions)
        series = _find_series(models, metric["namespace"], metric["metric_name"], dict(dimensions))
        points: List[Dict[str, Any]] = []
        if series and room:
            values = metric_values(models, series, metric["metric_name"], aggregate, starts, now)
            points = [{aggregate: value, "timestamp": at} for at, value in itertools.islice(values, room)]
        room -= len(points)
        answered.append({**description, "datapoints": points})
    return {"metrics": answered}


def _all_metrics(models: SimulatedModels, now: Ms) -> Iterator[Metric]:
    """Iterate over the metrics of every series that has reported in the last LISTED_FOR."""
    for model in models.ids():
        for key_id in (None, *models.key_ids(model)):
            if not models.has_reported(model, key_id, now - LISTED_FOR, now):
                continue
            dimensions = (("maas_api_id", model), *((("maas_key_id", key_id),) if key_id is not None else ()))
            for name in UNITS:
                yield _marker(name, dimensions), name, dimensions
            if key_id is None:
                service = (("maas_service_name", _service_name(model)),)
                yield _marker("total_tokens", service), "total_tokens", service


def _find_series(models: SimulatedModels, namespace: str, name: str, dimensions: Dict[str, str]) -> Optional[Series]:
    """Return the series of a metric; None for an unknown metric."""
    names = set(dimensions)
    if namespace != NAMESPACE or name not in UNITS:
        return None
    if names == {"maas_service_name"} and name == "total_tokens":
        service = dimensions["maas_service_name"]
        model = next((model for model in models.ids() if _service_name(model) == service), None)
        return (model, None) if model else None
    if names not in ({"maas_api_id"}, {"maas_api_id", "maas_key_id"}):
        return None
    return dimensions["maas_api_id"], dimensions.get("maas_key_id")


def _service_name(model: str) -> str:
    return f"service-{model[:8]}"


def _marker(name: str, dimensions: Iterable[Tuple[str, str]]) -> str:
    return f"{NAMESPACE}.{name}." + ",".join(f"{dimension}:{value}" for dimension, value in dimensions)


def _describe(namespace: str, name: str, dimensions: Iterable[Tuple[str, str]]) -> Dict[str, Any]:
    return {
        "namespace": namespace,
        "metric_name": name,
        "unit": UNITS.get(name, "") if namespace == NAMESPACE else "",
        "dimensions": [{"name": dimension, "value": value} for dimension, value in dimensions],
    }


def _validate(query: Dict[str, Any]) -> None:
    if set(query) != {"metrics", "from", "to", "period", "filter"}:
        raise ValueError("metrics, from, to, period and filter must be given, and nothing else")
    metrics, start, to = query["metrics"], query["from"], query["to"]
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= MAX_METRICS:
        raise ValueError(f"metrics must be 1 to {MAX_METRICS}")
    if type(start) is not int or type(to) is not int or not 0 <= start < to:
        raise ValueError("from and to must be milliseconds, and from < to")
    for name, allowed in (("period", list(PERIODS)), ("filter", list(AGGREGATES))):
        if query[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    for metric in metrics:
        if not _has_strings(metric, {"namespace", "metric_name"}, others={"dimensions"}):
            raise ValueError("a metric must have namespace, metric_name and dimensions, and nothing else")
        dimensions = metric["dimensions"]
        if not isinstance(dimensions, list) or not all(_has_strings(one, {"name", "value"}) for one in dimensions):
            raise ValueError("dimensions must be a list of name and value, and nothing else")
        if not 1 <= len(dimensions) == len({one["name"] for one in dimensions}):
            raise ValueError("dimensions must be one or more, each given once")


def _has_strings(value: Any, names: Iterable[str], others: Iterable[str] = ()) -> bool:
    """Return whether a value is an object with exactly these fields, those of `names` non-empty strings."""
    if not isinstance(value, dict) or set(value) != {*names, *others}:
        return False
    return all(type(value[name]) is str and value[name] for name in names)


def _invalid(details: str) -> Refusal:
    return Refusal(400, "ces.0014", details, cloud_eye_error)
